//! The OCI command line, as another engine would use it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod common;

use std::{
    fs,
    io::Read,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use common::{Setup, eventually};
use serde_json::{Value, json};

/// A bundle with a root directory, and a place for states.
struct Case {
    setup: Setup,
    id: String,
    root: PathBuf,
    bundle: PathBuf,
}

impl Case {
    fn new(args: &[&str]) -> Self {
        Self::with(args, |_| {})
    }

    fn with(args: &[&str], change: impl FnOnce(&mut Value)) -> Self {
        let mut setup = Setup::new(args);
        let bundle = setup.bundle.dir().to_owned();
        fs::rename(setup.lower(), bundle.join("rootfs")).unwrap();
        change(&mut setup.spec);
        fs::write(bundle.join("config.json"), setup.spec.to_string()).unwrap();
        let root = setup.dir.path().join("states");
        let id = setup.config.id.clone();
        Self { setup, id, root, bundle }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-shim"));
        command.arg("--root").arg(&self.root).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it and expects success.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and expects failure.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The container's output goes to a file: its process keeps what it inherits.
    fn create(&self) -> PathBuf {
        let out = self.setup.dir.path().join("out");
        let file = fs::File::create(&out).unwrap();
        let bundle = self.bundle.to_str().unwrap();
        let status = self
            .command(&["create", "--bundle", bundle, &self.id])
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .status()
            .unwrap();
        assert!(status.success(), "{}", fs::read_to_string(&out).unwrap());
        out
    }

    fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.ok(&["state", &self.id])).unwrap();
        assert_eq!(state["id"], json!(self.id));
        assert_eq!(state["bundle"], json!(self.bundle));
        state["status"].as_str().unwrap().to_owned()
    }

    fn gone(&self) {
        self.setup.assert_clean();
        assert!(!self.root.join(&self.id).exists());
        assert!(self.refused(&["state", &self.id]).contains("does not exist"));
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // After a test that failed half-way.
        let _ = self.command(&["delete", "--force", &self.id]).output();
    }
}

#[test]
fn the_whole_life() {
    let case = Case::new(&["sh", "-c", "echo begin; sleep 1000"]);
    let out = case.create();
    assert_eq!(case.status(), "created");
    assert_eq!(fs::read_to_string(&out).unwrap(), "");
    assert!(case.refused(&["delete", &case.id]).contains("not stopped"));
    let bundle = case.bundle.to_str().unwrap();
    assert!(case.refused(&["create", "-b", bundle, &case.id]).contains("exists already"));
    case.ok(&["start", &case.id]);
    assert_eq!(case.status(), "running");
    eventually("it runs", || fs::read_to_string(&out).unwrap() == "begin\n");
    assert!(case.refused(&["start", &case.id]).contains("not in the state created"));
    assert_eq!(
        case.ok(&["exec", &case.id, "sh", "-c", "echo inside; hostname"]),
        "inside\ntesthost\n"
    );
    case.ok(&["kill", &case.id, "KILL"]);
    eventually("it stops", || case.status() == "stopped");
    assert!(case.refused(&["kill", &case.id]).contains("not running"));
    case.ok(&["delete", &case.id]);
    case.gone();
}

#[test]
fn exec_says_how_it_ended_and_is_confined() {
    let case = Case::new(&["sleep", "1000"]);
    case.create();
    assert!(case.refused(&["exec", &case.id, "true"]).contains("not running"));
    case.ok(&["start", &case.id]);
    let status = |args: &[&str]| {
        let all = [&["exec", "--cwd", "/tmp", "-e", "X=1", &case.id], args].concat();
        case.run(&all).status.code().unwrap()
    };
    assert_eq!(status(&["sh", "-c", "test $X = 1 && test $PWD = /tmp && exit 7"]), 7);
    assert_eq!(status(&["sh", "-c", "kill -9 $$"]), 137);
    assert!(case.refused(&["exec", &case.id, "nonsense"]).contains("executable file not found"));
    let user = case.ok(&["exec", "--user", "www", &case.id, "id", "-u"]);
    assert_eq!(user, "33\n");
    let caps = case.ok(&["exec", &case.id, "grep", "CapBnd", "/proc/self/status"]);
    assert!(caps.contains("00000000a80425fb"), "{caps}");
    // Counted in the container's group, beside its first process.
    let all = "cat /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs | wc -l";
    let count = case.ok(&["exec", &case.id, "sh", "-c", all]);
    assert!(count.trim().parse::<u32>().unwrap() >= 2, "{count}");
    case.ok(&["delete", "--force", &case.id]);
    case.gone();
}

#[test]
fn a_process_comes_as_json_and_detached() {
    let case = Case::new(&["sleep", "1000"]);
    case.create();
    case.ok(&["start", &case.id]);
    let process = case.setup.dir.path().join("process.json");
    let pid_file = case.setup.dir.path().join("pid");
    let json = json!({"user": {"uid": 33, "gid": 33}, "cwd": "/", "args": ["sleep", "999"], "env": ["PATH=/bin"]});
    fs::write(&process, json.to_string()).unwrap();
    let (process, pid) = (process.to_str().unwrap(), pid_file.to_str().unwrap());
    // What it inherits it keeps open.
    let status = case
        .command(&["exec", "--process", process, "--detach", "--pid-file", pid, &case.id])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let pid = fs::read_to_string(&pid_file).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t33\t33\t33\t33"), "{status}");
    case.ok(&["delete", "--force", &case.id]);
    case.gone();
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn failures_leave_nothing_and_are_logged() {
    let case = Case::new(&["nonsense"]);
    let log = case.setup.dir.path().join("log.json");
    let (bundle, log_text) = (case.bundle.to_str().unwrap(), log.to_str().unwrap());
    let error =
        case.refused(&["--log", log_text, "--log-format=json", "create", "-b", bundle, &case.id]);
    assert!(error.contains("executable file not found in $PATH"), "{error}");
    let line: Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("executable file not found"));
    case.gone();
    for (args, text) in [
        (vec!["create", "--preserve-fds=3", "x"], "--preserve-fds"),
        (vec!["create", "-b", bundle, "../x"], "no container id"),
        (vec!["--systemd-cgroup", "state", "x"], "--systemd-cgroup"),
        (vec!["checkpoint", "x"], "checkpoint"),
        (vec!["state"], "missing"),
        (vec!["kill", "x", "NONSENSE"], "NONSENSE"),
        (vec!["delete", "unknown"], "does not exist"),
    ] {
        let error = case.refused(&args);
        assert!(error.contains(text), "{args:?}: {error}");
    }
}

#[test]
fn a_program_that_cannot_start_is_told_by_start() {
    let case = Case::new(&["/bin/text"]);
    let program = case.bundle.join("rootfs/bin/text");
    fs::write(&program, "no program\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    case.create();
    assert!(case.refused(&["start", &case.id]).contains("exec format error"));
    eventually("it stops", || case.status() == "stopped");
    case.ok(&["delete", &case.id]);
    case.gone();
}

#[test]
fn a_created_container_is_deleted_by_force() {
    let case = Case::new(&["true"]);
    case.create();
    case.ok(&["delete", "-f", &case.id]);
    case.gone();
    case.ok(&["delete", "-f", &case.id]);
}

#[test]
fn the_terminal_goes_to_the_console_socket() {
    let case = Case::with(&["sh", "-c", "tty; stty size; read x; echo got $x"], |spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["consoleSize"] = json!({"height": 20, "width": 30});
    });
    let bundle = case.bundle.to_str().unwrap();
    assert!(case.refused(&["create", "-b", bundle, &case.id]).contains("--console-socket"));
    let path = case.setup.dir.path().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    case.ok(&["create", "-b", bundle, "--console-socket", path.to_str().unwrap(), &case.id]);
    let (stream, _) = listener.accept().unwrap();
    let mut fds = Vec::new();
    shoal_sys::fdpass::receive(&stream, &mut [0; 100], &mut fds).unwrap();
    let mut master = fs::File::from(fds.pop().unwrap());
    case.ok(&["start", &case.id]);
    std::io::Write::write_all(&mut master, b"it\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0; 1000];
    // The end of a terminal is an error.
    while let Ok(count) = master.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    // What is typed is echoed at once, perhaps between these.
    assert!(text.contains("/dev/pts/0\r\n") && text.contains("20 30\r\n"), "{text:?}");
    assert!(text.ends_with("got it\r\n"), "{text:?}");
    eventually("it stops", || case.status() == "stopped");
    case.ok(&["delete", &case.id]);
    case.gone();
}

/// CVE-2019-5736 once more: the program that makes the container is a copy.
#[test]
fn the_program_on_disk_is_out_of_reach() {
    let case = Case::new(&["sleep", "1000"]);
    case.create();
    let state: Value = serde_json::from_str(&case.ok(&["state", &case.id])).unwrap();
    let exe = fs::read_link(format!("/proc/{}/exe", state["pid"])).unwrap();
    assert!(exe.to_str().unwrap().starts_with("/memfd:shoal-shim"), "{exe:?}");
    case.ok(&["delete", "-f", &case.id]);
}

/// Whoever waits for orphans gets the container's process.
#[test]
fn the_container_belongs_to_who_adopts_orphans() {
    let case = Case::new(&["sh", "-c", "exit 9"]);
    let pid_file = case.setup.dir.path().join("pid");
    let bundle = case.bundle.to_str().unwrap();
    let id = &case.id;
    // A shell cannot be a subreaper; this test program can, for its own orphans.
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).unwrap();
    let mut create: Child = case
        .command(&["create", "-b", bundle, "--pid-file", pid_file.to_str().unwrap(), id])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(create.wait().unwrap().success());
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    case.ok(&["start", id]);
    let pid = rustix::process::Pid::from_raw(pid);
    let (_, status) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(9));
    assert_eq!(case.status(), "stopped");
    case.ok(&["delete", id]);
    case.gone();
}
