//! Ways out through `/proc`: a program or working directory that an image reaches by
//! a descriptor the runtime forgot (CVE-2024-21626), or by another process's root.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{Setup, exec_request, on_version_2};
use serde_json::json;
use shoal_runtime::protocol::Reason;

/// Far more than a shim ever has open.
const DESCRIPTORS: std::ops::Range<u32> = 3..64;
/// From any directory up to the root.
const UP: &str = "../../../../../../../../../..";

/// A directory of the host's with a program in it.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::copy("/bin/busybox", dir.path().join("busybox")).unwrap();
        Self(dir)
    }

    /// The program, by way of a descriptor.
    fn program(&self, descriptor: u32) -> String {
        format!("/proc/self/fd/{descriptor}/{UP}{}/busybox", self.0.path().display())
    }

    /// A directory in it that is not there.
    fn missing(&self) -> PathBuf {
        self.0.path().join("made/here")
    }

    fn assert_untouched(&self) {
        let left: Vec<_> = fs::read_dir(self.0.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

/// No such container is made.
fn refused(setup: Setup, what: &str) -> Reason {
    match setup.try_create(None) {
        Err((setup, failure)) => {
            setup.assert_clean();
            failure.reason
        }
        Ok(container) => {
            container.finish();
            panic!("{what} leads out");
        }
    }
}

fn containers_find_no_program() {
    let outside = Outside::new();
    for descriptor in DESCRIPTORS {
        let program = outside.program(descriptor);
        let reason = refused(Setup::new(&[&program, "true"]), &program);
        assert!(
            matches!(reason, Reason::CommandNotFound | Reason::CommandNotExecutable),
            "{program}: {reason:?}"
        );
    }
}

fn containers_do_not_begin_there() {
    for descriptor in DESCRIPTORS {
        let mut setup = Setup::new(&["true"]);
        let cwd = format!("/proc/self/fd/{descriptor}");
        setup.spec["process"]["cwd"] = json!(cwd);
        refused(setup, &cwd);
    }
}

fn execs_find_nothing() {
    let outside = Outside::new();
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    for descriptor in DESCRIPTORS {
        let program = outside.program(descriptor);
        let failure = container.exec(exec_request(&[&program, "true"])).expect_err(&program);
        assert!(
            matches!(failure.reason, Reason::CommandNotFound | Reason::CommandNotExecutable),
            "{program}: {failure}"
        );
        let there = |path: &Path| format!("/proc/self/fd/{descriptor}/{UP}{}", path.display());
        for cwd in [there(outside.0.path()), there(&outside.missing())] {
            let mut request = exec_request(&["true"]);
            request.cwd = Some(cwd.clone());
            let failure = container.exec(request).expect_err(&cwd);
            assert!(failure.message.contains("cwd"), "{failure}");
        }
        outside.assert_untouched();
    }
    let (output, _) = container.exec_script("ls /proc/self/fd | wc -l");
    // 0, 1, 2 and the directory `ls` reads.
    assert_eq!(output, "4\n");
    container.finish();
}

#[test]
fn no_program_is_found_through_a_descriptor() {
    containers_find_no_program();
    on_version_2(containers_find_no_program);
}

#[test]
fn no_descriptor_is_a_working_directory() {
    containers_do_not_begin_there();
    on_version_2(containers_do_not_begin_there);
}

#[test]
fn execs_find_nothing_through_a_descriptor() {
    execs_find_nothing();
    on_version_2(execs_find_nothing);
}

/// With the host's processes in sight, their root is the host's.
#[test]
fn no_working_directory_is_made_through_another_processs_root() {
    let outside = Outside::new();
    let shares_processes = |setup: &mut Setup| {
        let namespaces = setup.spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    };
    let cwd = format!("/proc/{}/root{}", std::process::id(), outside.missing().display());
    let mut setup = Setup::new(&["true"]);
    shares_processes(&mut setup);
    setup.spec["process"]["cwd"] = json!(cwd);
    refused(setup, &cwd);
    outside.assert_untouched();
    let mut setup = Setup::new(&["sleep", "1000"]);
    shares_processes(&mut setup);
    let mut container = setup.create();
    container.start();
    let mut request = exec_request(&["true"]);
    request.cwd = Some(cwd.clone());
    container.exec(request).expect_err(&cwd);
    outside.assert_untouched();
    container.finish();
}
