//! Each safety rule, by trying the attack it is against.

mod common;

use std::{fs, os::unix::fs::symlink, path::Path};

use common::{Setup, exec_request, run, script, succeed};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, mount, mount_remount};
use serde_json::json;
use shoal_runtime::protocol::Reason;

/// What confines a process, as the kernel tells it.
const CONFINEMENT: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status; \
     cut -d: -f2- /proc/self/cgroup | sort; \
     for n in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done";

/// What only an unconfined process can do; each line says whether it was refused.
const ATTACKS: &str = "try() { \"$@\" 2>/dev/null && echo \"DONE: $*\" || echo \"refused: $*\"; }; \
     try mount -t tmpfs x /tmp; \
     try umount /proc/kcore; \
     try hostname evil; \
     try mknod /tmp/disk b 8 0 && try head -c 1 /tmp/disk; \
     try sh -c 'echo 1 > /proc/sys/vm/drop_caches'; \
     try sh -c 'echo b > /proc/sysrq-trigger'; \
     try sh -c 'echo x > /proc/sys/kernel/core_pattern'; \
     try sh -c 'echo 1 > /sys/kernel/uevent_helper'; \
     try mkdir /sys/fs/cgroup/memory/escape; \
     try sh -c 'echo 1 > /sys/fs/cgroup/memory/notify_on_release'; \
     try sh -c 'echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes'; \
     try sh -c 'echo a > /sys/fs/cgroup/devices/devices.allow'; \
     try sh -c 'head -c 1 /proc/kcore | grep -q .'; \
     try sh -c 'ls /sys/firmware | grep -q .'; \
     try sh -c 'ls /proc/acpi | grep -q .'; \
     try mknod /tmp/kmsg c 1 11 && try head -c 1 /tmp/kmsg";

fn refused_all(output: &str) {
    let done: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("DONE") && !line.contains("DONE: mknod"))
        .collect();
    assert!(done.is_empty(), "{done:?}");
    assert!(output.lines().count() > 14, "{output}");
}

#[test]
fn the_first_process_can_do_none_of_it() {
    refused_all(&script(ATTACKS));
}

#[test]
fn an_execed_process_can_do_none_of_it() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    refused_all(&container.exec_script(ATTACKS).0);
    container.finish();
}

#[test]
fn an_execed_process_is_confined_as_the_first() {
    for no_new_privileges in [false, true] {
        let mut setup = Setup::new(&["sh", "-c", &format!("{CONFINEMENT}; echo end; sleep 1000")]);
        setup.spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
        setup.config.user_text = Some("www".into());
        let mut container = setup.create();
        let mut stream = container.attach(false);
        container.start();
        let first = common::read_until(&mut stream, "end\n");
        let (second, _) = container.exec_script(&format!("{CONFINEMENT}; echo end"));
        assert_eq!(first, second);
        assert!(first.contains("Seccomp:\t2"), "{first}");
        assert!(
            first.contains(&format!("NoNewPrivs:\t{}", u8::from(no_new_privileges))),
            "{first}"
        );
        assert!(first.contains("Uid:\t33\t33\t33\t33"), "{first}");
        container.finish();
    }
}

#[test]
fn capabilities_are_dockers_and_the_bounding_set_holds() {
    let output = script("grep Cap /proc/self/status");
    for line in [
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(output.contains(line), "{output}");
    }
}

#[test]
fn a_privileged_exec_is_asked_for_by_name_only() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut request = exec_request(&[
        "sh",
        "-c",
        "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted",
    ]);
    request.privileged = true;
    let (output, _) = container.exec(request).unwrap();
    assert_eq!(output, "Seccomp:\t0\nmounted\n");
    container.finish();
}

/// A filter chosen for a privileged container holds for what is execed into it.
#[test]
fn an_exec_keeps_the_filter_of_a_privileged_container() {
    let mut setup = Setup::new(&["sleep", "1000"]);
    let every: Vec<_> = shoal_sys::caps::Capabilities::permitted().unwrap().names().collect();
    for set in ["bounding", "effective", "permitted"] {
        setup.spec["process"]["capabilities"][set] = json!(every);
    }
    let mut container = setup.create();
    container.start();
    for privileged in [false, true] {
        let mut request = exec_request(&["grep", "Seccomp:", "/proc/self/status"]);
        request.privileged = privileged;
        assert_eq!(container.exec(request).unwrap().0, "Seccomp:\t2\n", "{privileged}");
    }
    container.finish();
}

/// Each process begins with an empty session keyring: keys of whoever started the
/// daemon, or of another container, are not at hand.
#[test]
fn session_keyrings_are_not_shared() {
    // As another user, who sees only what is at hand.
    const SESSION: &str = "grep keyring /proc/keys | grep _ses: | cut -d' ' -f1,9-";
    let setup = || {
        let mut setup = Setup::new(&["sh", "-c", &format!("{SESSION}; echo end; sleep 1000")]);
        setup.spec["linux"]["maskedPaths"] = json!([]);
        setup.config.user_text = Some("www".into());
        setup
    };
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut container = setup().create();
        let mut stream = container.attach(false);
        container.start();
        seen.push(common::read_until(&mut stream, "end\n").replace("end\n", ""));
        seen.push(container.exec_script(SESSION).0);
        container.finish();
    }
    for (at, one) in seen.iter().enumerate() {
        assert_eq!(one.lines().count(), 1, "{seen:?}");
        assert!(!seen[..at].contains(one), "{seen:?}");
    }
}

/// What is mounted below a bind mount stays as the host has it, unless asked.
#[test]
fn a_writable_bind_mount_makes_nothing_below_it_writable() {
    // Outside: it can only be removed when nothing is mounted in it.
    let outside = tempfile::tempdir().unwrap();
    let source = outside.path().to_owned();
    common::with_own_mounts(move || {
        let mounted = |name: &str, flags| {
            let place = source.join(name);
            fs::create_dir(&place).unwrap();
            mount("tmpfs", &place, "tmpfs", MountFlags::empty(), None).unwrap();
            mount_remount(&place, MountFlags::BIND | flags, "").unwrap();
        };
        mounted("locked", MountFlags::RDONLY);
        mounted("open", MountFlags::empty());
        let tried = |options: &[&str]| {
            let script = "for d in /data /data/locked /data/open; do \
                          touch $d/x 2>/dev/null && echo -n written || echo -n refused; done";
            let mut setup = Setup::new(&["sh", "-c", script]);
            setup.mount(json!({"destination": "/data", "type": "bind",
                               "source": source, "options": options}));
            succeed(setup)
        };
        let (written, refused) = ("written", "refused");
        assert_eq!(tried(&["rbind", "rw", "rprivate"]), [written, refused, written].concat());
        assert_eq!(tried(&["rbind", "ro", "rprivate"]), [refused, refused, written].concat());
        assert_eq!(tried(&["rbind", "rro", "rprivate"]), [refused, refused, refused].concat());
    });
}

/// Of a container that is made, the directory is made; an exec changes nothing.
#[test]
fn an_exec_makes_no_working_directory() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut request = exec_request(&["true"]);
    request.cwd = Some("/nowhere".into());
    let failure = container.exec(request).unwrap_err();
    assert_eq!(
        failure.message,
        "chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory"
    );
    assert_eq!(failure.exec_exit_code(), 126);
    assert_eq!(container.exec_script("test -e /nowhere || echo none").0, "none\n");
    container.finish();
}

/// CVE-2024-21626: a descriptor of the host's, or a working directory outside.
#[test]
fn no_descriptor_of_the_host_leaks_in() {
    // One that a careless daemon forgot to close on exec.
    let leak = fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let list = "ls /proc/self/fd | wc -l; for f in /proc/self/fd/*; do readlink $f; done";
    let mut container = Setup::new(&["sh", "-c", &format!("{list}; sleep 1000")]).create();
    let mut stream = container.attach(false);
    container.start();
    let mut output = common::read_until(&mut stream, "\n");
    let (executed, _) = container.exec_script(list);
    // 0, 1, 2 and the directory `ls` reads.
    assert!(output.starts_with("4\n"), "{output}");
    assert!(executed.starts_with("4\n"), "{executed}");
    output.push_str(&executed);
    for line in output.lines().filter(|line| line.starts_with('/')) {
        assert!(line.starts_with("/dev/null") || line.starts_with("/proc/"), "{line}");
    }
    container.finish();
    drop(leak);
    let mut refused = 0;
    for fd in 3..20 {
        let mut setup = Setup::new(&["sh", "-c", FIND_HOST]);
        setup.spec["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}"));
        let mut container = match setup.try_create(None) {
            Err((setup, failure)) => {
                assert!(failure.message.contains("cwd"), "{failure}");
                setup.assert_clean();
                refused += 1;
                continue;
            }
            Ok(container) => container,
        };
        // A handle on the container's own root is no way out.
        let stream = container.attach(false);
        container.start();
        assert_eq!(common::collect(stream).0, "inside\n");
        container.gone();
    }
    assert!(refused > 0);
}

/// Looks for the host's files from where it stands, and upward.
const FIND_HOST: &str = "for up in . .. ../.. ../../.. ../../../../../../..; do \
     test -e $up/etc/shadow -o -e $up/bundle -o -e $up/config.json && echo OUTSIDE; done; \
     echo inside";

#[test]
fn an_exec_cannot_begin_outside() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    for fd in 3..20 {
        let mut request = exec_request(&["sh", "-c", FIND_HOST]);
        request.cwd = Some(format!("/proc/self/fd/{fd}"));
        match container.exec(request) {
            Ok((output, _)) => assert_eq!(output, "inside\n"),
            Err(failure) => assert!(failure.message.contains("cwd"), "{failure}"),
        }
    }
    container.finish();
}

/// CVE-2019-5736: writing to the runtime through `/proc/self/exe`.
#[test]
fn the_runtimes_own_program_cannot_be_written() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let shim = container.process.as_ref().unwrap().pid();
    let refused = fs::OpenOptions::new().write(true).open(format!("/proc/{shim}/exe")).unwrap_err();
    // Busy while it runs; sealed for ever.
    assert!(matches!(refused.raw_os_error(), Some(26 | 1)), "{refused}");
    let name = fs::read_link(format!("/proc/{shim}/exe")).unwrap();
    assert!(name.to_str().unwrap().starts_with("/memfd:shoal-shim"), "{name:?}");
    // The image's program is `/proc/self/exe`: it runs itself, never the shim.
    container.finish();
    let setup = Setup::new(&["/bin/link", "true"]);
    symlink("/proc/self/exe", setup.lower().join("bin/link")).unwrap();
    let mut container = match setup.try_create(None) {
        Ok(container) => container,
        Err((setup, _)) => return setup.assert_clean(),
    };
    let stream = container.attach(false);
    if container.control.call(shoal_runtime::protocol::Operation::Start).is_ok() {
        let (output, exit) = common::collect(stream);
        // The shim's program without a bundle only complains.
        assert_ne!(exit.exit_code, 0, "{output}");
    }
    container.gone();
}

/// CVE-2021-30465 and its like: links in the image where mounts are to go.
#[test]
fn mount_points_with_links_stay_inside() {
    let outside = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(&["cat", "/data/file", "/etc/host-etc/file"]);
    let source = setup.dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "ours\n").unwrap();
    let lower = setup.lower();
    symlink(outside.path(), lower.join("data")).unwrap();
    symlink("../../../../../../../../etc", lower.join("up")).unwrap();
    setup.mount(
        json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind"]}),
    );
    setup.mount(json!({"destination": "/up/host-etc", "type": "bind", "source": source, "options": ["rbind"]}));
    assert_eq!(succeed(setup), "ours\nours\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!Path::new("/etc/host-etc").exists());
}

#[test]
fn a_file_is_not_mounted_onto_a_directory() {
    for (source, destination) in [("/etc/hostname", "/bin"), ("/etc", "/bin/sh")] {
        let mut setup = Setup::new(&["true"]);
        setup.mount(json!({"destination": destination, "type": "bind", "source": source,
                           "options": ["rbind"]}));
        let Err((setup, failure)) = setup.try_create(None) else { panic!("{source} is mounted") };
        assert_eq!(failure.reason, Reason::Invalid, "{failure}");
        assert!(failure.message.contains("(or vice-versa)"), "{failure}");
        setup.assert_clean();
    }
}

#[test]
fn proc_and_sys_are_not_mounted_through_links() {
    for name in ["proc", "sys"] {
        let setup = Setup::new(&["true"]);
        let lower = setup.lower();
        fs::remove_dir(lower.join(name)).unwrap();
        fs::create_dir(lower.join("elsewhere")).unwrap();
        symlink("/elsewhere", lower.join(name)).unwrap();
        let (setup, failure) = setup.try_create(None).err().expect("a refusal");
        assert!(failure.message.contains(&format!("/{name}")), "{failure}");
        setup.assert_clean();
    }
}

/// CVE-2025-31133: `/dev/null` that is something else would leave secrets bare.
#[test]
fn a_false_null_device_masks_nothing_and_runs_nothing() {
    let mut setup = Setup::new(&["true"]);
    let file = setup.dir.path().join("not-null");
    fs::write(&file, "x").unwrap();
    // Without a tmpfs on /dev the image decides what is there.
    setup.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    fs::write(setup.lower().join("dev/null"), "trap").unwrap();
    let (setup, failure) = setup.try_create(None).err().expect("a refusal");
    assert!(failure.message.contains("/dev/null"), "{failure}");
    setup.assert_clean();
    // And a mount over it after the nodes are made.
    let mut setup = Setup::new(&["true"]);
    let file = setup.dir.path().join("not-null");
    fs::write(&file, "x").unwrap();
    setup.mount(
        json!({"destination": "/dev/null", "type": "bind", "source": file, "options": ["bind"]}),
    );
    let (setup, failure) = setup.try_create(None).err().expect("a refusal");
    assert!(failure.message.contains("/dev/null"), "{failure}");
    setup.assert_clean();
}

/// CVE-2025-52881: something else where the kernel's files should be.
#[test]
fn writes_through_proc_are_not_redirected() {
    // A bind mount inside /proc would catch what a runtime writes there.
    for place in ["/proc/sys/net/ipv4", "/proc/self/attr", "/proc/sysrq-trigger"] {
        let mut setup = Setup::new(&["true"]);
        let source = setup.dir.path().join("source");
        fs::create_dir(&source).unwrap();
        setup.mount(
            json!({"destination": place, "type": "bind", "source": source, "options": ["bind"]}),
        );
        let (setup, failure) = setup.try_create(None).err().expect(place);
        setup.assert_clean();
        assert!(
            failure.message.contains("inside /proc") || failure.message.contains("mount point"),
            "{failure}"
        );
    }
    // The same by way of a link.
    let mut setup = Setup::new(&["true"]);
    symlink("/proc/sys", setup.lower().join("innocent")).unwrap();
    let source = setup.dir.path().join("source");
    fs::create_dir(&source).unwrap();
    setup.mount(
        json!({"destination": "/innocent", "type": "bind", "source": source, "options": ["bind"]}),
    );
    let (setup, failure) = setup.try_create(None).err().expect("a refusal");
    assert!(failure.message.contains("inside /proc"), "{failure}");
    setup.assert_clean();
}

#[test]
fn a_tmpfs_instead_of_proc_leaves_masks_nothing_to_hide() {
    let mut setup = Setup::new(&["cat", "/proc/kcore"]);
    setup.spec["mounts"][0] =
        json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs", "options": []});
    let (output, exit) = run(setup);
    assert_eq!(exit.exit_code, 1);
    assert!(output.contains("No such file"), "{output}");
}

/// As with the host's `/dev`, in which the console is a device.
#[test]
fn the_console_covers_a_device() {
    let mut setup = Setup::new(&["sh", "-c", "stat -c %t /dev/console; echo shown > /dev/console"]);
    setup.spec["process"]["terminal"] = json!(true);
    let dev = setup.dir.path().join("dev");
    fs::create_dir(&dev).unwrap();
    let (mode, number) = (Mode::from_raw_mode(0o600), makedev(5, 1));
    mknodat(CWD, dev.join("console"), FileType::CharacterDevice, mode, number).unwrap();
    let mounts = setup.spec["mounts"].as_array_mut().unwrap();
    let at = mounts.iter().position(|mount| mount["destination"] == "/dev").unwrap();
    mounts[at] = json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]});
    // A slave of `/dev/pts`, whose major number is 136.
    assert_eq!(succeed(setup), "88\r\nshown\r\n");
}

/// CVE-2025-52565: a link where the console is put.
#[test]
fn the_console_does_not_follow_links() {
    for (name, target) in [("link", "/proc/sys/kernel/core_pattern"), ("link", "/etc/passwd")] {
        let mut setup = Setup::new(&["true"]);
        setup.spec["process"]["terminal"] = json!(true);
        let dev = setup.dir.path().join(name);
        fs::create_dir(&dev).unwrap();
        symlink(target, dev.join("console")).unwrap();
        // The container's /dev is a directory somebody else can write to.
        let mounts = setup.spec["mounts"].as_array_mut().unwrap();
        let at = mounts.iter().position(|mount| mount["destination"] == "/dev").unwrap();
        mounts[at] =
            json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]});
        let (setup, failure) = setup.try_create(None).err().expect("a refusal");
        assert!(failure.message.contains("/dev/console"), "{failure}");
        setup.assert_clean();
    }
}

/// A false multiplexer: the terminal must be devpts's own.
#[test]
fn terminals_come_from_devpts_only() {
    let mut setup = Setup::new(&["true"]);
    setup.spec["process"]["terminal"] = json!(true);
    let mounts = setup.spec["mounts"].as_array_mut().unwrap();
    let at = mounts.iter().position(|mount| mount["destination"] == "/dev/pts").unwrap();
    mounts[at] = json!({"destination": "/dev/pts", "type": "tmpfs", "source": "x", "options": []});
    let (setup, failure) = setup.try_create(None).err().expect("a refusal");
    assert!(failure.message.contains("/dev/pts"), "{failure}");
    setup.assert_clean();
}

/// Names are looked up in files of the image, as text: a link out finds nothing,
/// a pipe does not block, and no name service is asked.
#[test]
fn user_files_are_data_of_the_image() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("passwd"), "evil:x:0:0::/:\n").unwrap();
    let setup = |prepare: &dyn Fn(&Path)| {
        let mut setup = Setup::new(&["id", "-u"]);
        fs::remove_file(setup.lower().join("etc/passwd")).unwrap();
        prepare(&setup.lower().join("etc/passwd"));
        setup.config.user_text = Some("evil".into());
        setup
    };
    let link: &dyn Fn(&Path) = &|path| symlink(outside.path().join("passwd"), path).unwrap();
    let pipe: &dyn Fn(&Path) = &|path| {
        let mode = Mode::from_raw_mode(0o644);
        mknodat(CWD, path, FileType::Fifo, mode, 0).unwrap();
    };
    for prepare in [link, pipe] {
        let (setup, failure) = setup(prepare).try_create(None).err().expect("a refusal");
        assert_eq!(failure.reason, Reason::Invalid);
        assert!(failure.message.contains("unable to find user evil"), "{failure}");
        setup.assert_clean();
    }
}

/// CVE-2016-9962: a container's process looks into one that is on its way in and
/// still holds the host's descriptors.
#[test]
fn processes_on_their_way_in_cannot_be_looked_into() {
    // Still our code: it has not been started.
    let mut newcomer = Setup::new(&["true"]).create();
    let pid = newcomer.pid();
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "for f in environ maps; do cat /proc/1/$f >/dev/null && echo READ $f; done; \
         for n in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/1/fd/$n && echo SHOWN; \
         ls /proc/1/fd/$n/ && echo USED; done; ls /proc/1/root/ >/dev/null && echo ENTERED; \
         readlink /proc/1/exe && echo LINK; echo end",
    ]);
    setup.spec["linux"]["namespaces"] = json!([
        {"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
        {"type": "pid", "path": format!("/proc/{pid}/ns/pid")}
    ]);
    let output = succeed(setup);
    for bad in ["READ", "SHOWN", "USED", "ENTERED", "LINK"] {
        assert!(!output.contains(bad), "{output}");
    }
    assert!(output.contains("ermission denied") && output.contains("end\n"), "{output}");
    newcomer.finish();
}

#[test]
fn set_user_id_programs_gain_nothing_under_no_new_privileges() {
    for no_new_privileges in [false, true] {
        let mut setup =
            Setup::new(&["/suid/busybox", "grep", "-E", "Uid:|NoNewPrivs", "/proc/self/status"]);
        fs::create_dir(setup.lower().join("suid")).unwrap();
        let program = setup.lower().join("suid/busybox");
        fs::copy("/bin/busybox", &program).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
        fs::set_permissions(&program, mode).unwrap();
        setup.spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
        setup.config.user_text = Some("www".into());
        let output = succeed(setup);
        if no_new_privileges {
            // Real, effective, saved, file system.
            assert!(output.contains("Uid:\t33\t33\t33\t33"), "{output}");
        }
        let flag = format!("NoNewPrivs:\t{}", u8::from(no_new_privileges));
        assert!(output.contains(&flag), "{output}");
    }
}

/// The kernel's answer for calls newer than the filter.
#[test]
fn the_filter_denies_and_pretends_as_it_should() {
    let output =
        script("exec 2>&1; busybox unshare -m true; echo $?; busybox chroot / true; echo $?");
    assert!(output.contains("unshare: unshare(0x"), "{output}");
    assert!(output.contains("Operation not permitted"), "{output}");
    assert!(output.ends_with("0\n"), "{output}");
}

#[test]
fn rlimits_are_set_and_the_users_own_are_not_softened() {
    let mut setup = Setup::new(&["sh", "-c", "ulimit -n; ulimit -Hn"]);
    setup.spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456}]);
    assert_eq!(succeed(setup), "123\n456\n");
    // More than this machine's own: dropped when it is only Docker's default …
    let too_much = json!([{"type": "RLIMIT_NOFILE", "soft": 1u64 << 40, "hard": 1u64 << 40}]);
    let mut setup = Setup::new(&["true"]);
    setup.spec["process"]["rlimits"] = too_much.clone();
    succeed(setup);
    // … and an error when the user asked for it.
    let mut setup = Setup::new(&["true"]);
    setup.config.lenient.rlimits = false;
    setup.spec["process"]["rlimits"] = too_much;
    let mut container = setup.create();
    let refused = container.control.call(shoal_runtime::protocol::Operation::Start);
    assert!(refused.unwrap_err().to_string().contains("rlimit"));
    container.gone();
}
