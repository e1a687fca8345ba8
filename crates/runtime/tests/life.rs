//! A container's life, from launch to the last trace.

mod common;

use std::{fs, os::fd::AsFd};

use common::{Setup, eventually, exec_request, run, script, succeed};
use serde_json::json;
use shoal_runtime::{
    client::{CallError, Connection},
    protocol::{Operation, Reason, Reply, Status},
};

#[test]
fn a_program_runs_and_leaves_nothing() {
    let (output, exit) = run(Setup::new(&["echo", "hello"]));
    assert_eq!(output, "hello\n");
    assert_eq!((exit.exit_code, exit.signal, exit.oom_killed), (0, None, false));
    assert!(exit.started_at.unwrap() <= exit.finished_at);
}

#[test]
fn exit_codes_are_dockers() {
    let code = |args: &[&str]| run(Setup::new(args)).1.exit_code;
    assert_eq!(code(&["sh", "-c", "exit 42"]), 42);
    assert_eq!(code(&["sh", "-c", "kill -9 $$; exit 1"]), 1, "pid 1 is immune to itself");
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    container.kill(9);
    let exit = container.wait();
    assert_eq!((exit.exit_code, exit.signal), (137, Some(9)));
    assert_eq!(container.gone(), exit);
}

#[test]
fn what_cannot_run_says_why_and_leaves_nothing() {
    let cases: [(&[&str], Reason, i32, &str); 4] = [
        (&["nonsense"], Reason::CommandNotFound, 127, "executable file not found in $PATH"),
        (&["/no/where"], Reason::CommandNotFound, 127, "no such file or directory"),
        (&["/etc/passwd"], Reason::CommandNotExecutable, 126, "permission denied"),
        (&["/etc"], Reason::CommandNotExecutable, 126, "is a directory"),
    ];
    for (args, reason, code, text) in cases {
        let (setup, failure) = Setup::new(args).try_create(None).err().expect("a refusal");
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.contains(text), "{failure}");
        assert!(failure.message.contains(&format!("exec: {:?}", args[0])), "{failure}");
        setup.assert_clean();
        let exit = setup.bundle.read_exit().unwrap().unwrap();
        assert_eq!((exit.exit_code, exit.error), (code, Some(failure.message)));
    }
}

#[test]
fn a_file_that_is_no_program_fails_at_the_start() {
    let setup = Setup::new(&["/bin/text"]);
    fs::write(setup.lower().join("bin/text"), "no program\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(setup.lower().join("bin/text"), mode).unwrap();
    let mut container = setup.create();
    let Err(CallError::Failed(failure)) = container.control.call(Operation::Start) else {
        panic!("it started")
    };
    assert_eq!(failure.reason, Reason::CommandNotExecutable);
    assert!(failure.message.contains("exec format error"), "{failure}");
    assert_eq!(container.gone().exit_code, 126);
}

#[test]
fn each_failing_step_leaves_nothing() {
    type Change = fn(&mut Setup);
    let breakers: [(&str, Change); 8] = [
        ("bind source path", |s| {
            s.mount(json!({"destination": "/x", "type": "bind", "source": "/nonexistent"}));
        }),
        ("mounting nonsensefs", |s| {
            s.mount(json!({"destination": "/x", "type": "nonsensefs", "source": "x"}));
        }),
        ("sysctl", |s| s.spec["linux"]["sysctl"] = json!({"kernel.nonsense": "1"})),
        ("unable to find user nobody", |s| s.config.user_text = Some("nobody".into())),
        ("limits", |s| s.spec["linux"]["resources"] = json!({"cpu": {"cpus": "999"}})),
        ("seccomp program", |s| s.config.seccomp_program = Some("/etc/passwd".into())),
        ("cwd", |s| s.spec["process"]["cwd"] = json!("/etc/passwd")),
        ("lower", |s| {
            let lower = s.lower();
            fs::remove_dir_all(lower).unwrap();
        }),
    ];
    for (expected, change) in breakers {
        let mut setup = Setup::new(&["true"]);
        change(&mut setup);
        let (setup, failure) = setup.try_create(None).err().expect(expected);
        assert!(failure.message.contains(expected), "{expected}: {failure}");
        setup.assert_clean();
        assert!(setup.bundle.read_exit().unwrap().unwrap().error.is_some());
    }
}

#[test]
fn states_follow_the_drawing() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    assert_eq!(container.state().status, Status::Created);
    let pause = container.control.call(Operation::Pause);
    assert!(matches!(pause, Err(CallError::Failed(f)) if f.reason == Reason::Conflict));
    container.start();
    assert_eq!(container.state().status, Status::Running);
    let again = container.control.call(Operation::Start);
    assert!(matches!(again, Err(CallError::Failed(f)) if f.reason == Reason::Conflict));
    container.call(Operation::Pause);
    assert_eq!(container.state().status, Status::Paused);
    let refused = container.exec(exec_request(&["true"])).unwrap_err();
    assert_eq!(refused.reason, Reason::Conflict);
    container.call(Operation::Resume);
    assert_eq!(container.exec_script("echo again").0, "again\n");
    container.call(Operation::Pause);
    // Killing works on what is frozen.
    container.kill(9);
    assert_eq!(container.wait().exit_code, 137);
    container.gone();
}

#[test]
fn signals_arrive() {
    let mut container = Setup::new(&[
        "sh",
        "-c",
        "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.01; done",
    ])
    .create();
    let mut stream = container.attach(false);
    container.start();
    common::read_until(&mut stream, "ready\n");
    container.kill(10);
    let (output, exit) = common::collect(stream);
    assert!(output.contains("got it"), "{output}");
    assert_eq!(exit.exit_code, 3);
    let late = container.control.call(Operation::Kill { signal: 15, all: false, exec: None });
    assert!(late.is_err());
    container.gone();
}

/// The daemon is gone with everything it held; a new one finds the container.
#[test]
fn the_container_outlives_its_daemon() {
    let mut container = Setup::new(&["sh", "-c", "echo one; sleep 1000"]).create();
    container.start();
    let pid = container.pid();
    let again = container.connect();
    let control = std::mem::replace(&mut container.control, again);
    drop(control);
    container.control.set_timeout(Some(common::PATIENCE)).unwrap();
    let state = container.state();
    assert_eq!((state.status, state.pid), (Status::Running, Some(pid)));
    let waiter = container.connect();
    let waiting = std::thread::spawn(move || {
        let mut waiter = waiter;
        waiter.call(Operation::Wait).unwrap()
    });
    assert_eq!(container.exec_script("echo two").0, "two\n");
    container.kill(15);
    container.kill(9);
    let Reply::Exited(exit) = waiting.join().unwrap() else { panic!() };
    assert_eq!(exit.exit_code, 137);
    assert_eq!(container.gone(), exit);
}

/// `exit.json` is there when the first one hears of the end.
#[test]
fn the_record_is_written_before_anybody_is_told() {
    for _ in 0..20 {
        let mut container = Setup::new(&["true"]).create();
        let id = container.control.send(Operation::Wait).unwrap();
        let start = container.control.send(Operation::Start).unwrap();
        assert!(matches!(container.control.answer(start).unwrap(), Reply::Started { .. }));
        let told = container.control.answer(id).unwrap();
        let written = container.setup.bundle.read_exit().unwrap().expect("written");
        assert_eq!(told, Reply::Exited(written));
        container.gone();
    }
}

#[test]
fn the_shim_does_not_end_before_its_container_and_ignores_for_nobody_else() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    for line in ["SigIgn:\t0000000000000000", "SigBlk:\t0000000000000000"] {
        assert!(status.contains(line), "{status}");
    }
    let shim = container.process.as_ref().unwrap().pid() as i32;
    for signal in [1, 2, 15] {
        shoal_sys::process::signal_pid(shim, signal).unwrap();
    }
    assert_eq!(container.exec_script("echo here").0, "here\n");
    container.finish();
}

#[test]
fn killing_the_shim_kills_the_container() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let init = std::path::PathBuf::from(format!("/proc/{}", container.pid()));
    let mut process = container.process.take().unwrap();
    process.kill().unwrap();
    process.reap().unwrap();
    eventually("the container dies", || !init.exists());
    assert_eq!(container.setup.bundle.read_exit().unwrap(), None);
    assert!(Connection::open(&container.setup.bundle).is_err());
}

#[test]
fn a_container_never_started_is_deleted() {
    let mut container = Setup::new(&["true"]).create();
    container.call(Operation::Delete);
    let exit = container.gone();
    assert_eq!((exit.exit_code, exit.started_at), (137, None));
}

#[test]
fn a_control_group_in_use_is_not_shared() {
    let setup = Setup::new(&["true"]);
    setup.cgroup.create().unwrap();
    let (setup, failure) = setup.try_create(None).err().expect("a refusal");
    assert_eq!(failure.reason, Reason::Conflict, "{failure}");
    assert!(setup.cgroup.exists(), "it was not ours to remove");
    setup.cgroup.remove().unwrap();
    setup.assert_clean();
}

#[test]
fn limits_hold_and_change() {
    let mut setup = Setup::new(&["sleep", "1000"]);
    setup.spec["linux"]["resources"] = json!({
        "memory": {"limit": 64 << 20}, "pids": {"limit": 20},
        "cpu": {"quota": 50000, "period": 100000, "shares": 512}
    });
    let mut container = setup.create();
    container.start();
    let stats = container.setup.cgroup.stats().unwrap();
    assert_eq!(stats.memory.limit_bytes, Some(64 << 20));
    assert_eq!((stats.pids_limit, stats.pids_current), (Some(20), 1));
    let grown = shoal_runtime::Limits { memory_bytes: Some(96 << 20), ..Default::default() };
    container.call(Operation::Update(Box::new(grown)));
    assert_eq!(container.setup.cgroup.stats().unwrap().memory.limit_bytes, Some(96 << 20));
    let (output, _) = container.exec_script("for i in $(seq 40); do sleep 100 & done; echo done");
    assert!(output.contains("can't fork"), "{output}");
    container.finish();
}

#[test]
fn an_out_of_memory_kill_is_reported() {
    // The shell survives its child, so only the count tells.
    let mut setup =
        Setup::new(&["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; echo $?"]);
    setup.spec["linux"]["resources"] = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    let (output, exit) = run(setup);
    assert!(output.contains("137"), "{output}");
    assert!(exit.oom_killed);
}

#[test]
fn names_namespaces_and_environment() {
    let output = script("hostname; echo $$; pwd; env | grep HOME; readlink /proc/self/exe");
    assert_eq!(output, "testhost\n1\n/\nHOME=/root\n/bin/busybox\n");
    // An empty network: nothing but loopback, and that down.
    let links = script("ls /sys/class/net");
    assert_eq!(links.trim(), "lo");
}

#[test]
fn users_come_from_the_containers_own_files() {
    let identity = |text: &str, groups: &[&str]| {
        let mut setup = Setup::new(&["sh", "-c", "id -u; id -g; id -G; echo $HOME"]);
        setup.config.user_text = Some(text.into());
        setup.config.group_texts = groups.iter().map(|&g| g.to_owned()).collect();
        succeed(setup).replace('\n', " ")
    };
    assert_eq!(identity("www", &[]), "33 33 33 44 /var/www ");
    assert_eq!(identity("www:video", &[]), "33 44 44 /var/www ");
    assert_eq!(identity("1234:5678", &["video", "99"]), "1234 5678 5678 44 99 / ");
    assert_eq!(identity("", &[]), "0 0 0 /root ");
}

#[test]
fn the_working_directory_is_made() {
    let mut setup = Setup::new(&["pwd"]);
    setup.spec["process"]["cwd"] = json!("/new/place");
    assert_eq!(succeed(setup), "/new/place\n");
}

#[test]
fn devices_and_links_are_there() {
    let output = script(
        "for d in null zero full random urandom tty; do stat -c '%n %a %t:%T' /dev/$d; done; \
         echo x > /dev/null; head -c 3 /dev/zero | wc -c; for l in fd ptmx stdin; do readlink /dev/$l; done; \
         echo through > /dev/stdout",
    );
    assert!(output.starts_with("/dev/null 666 1:3\n/dev/zero 666 1:5\n"), "{output}");
    assert!(output.ends_with("3\n/proc/self/fd\npts/ptmx\n/proc/self/fd/0\nthrough\n"), "{output}");
}

#[test]
fn mounts_of_every_kind() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "exec 2>&1; cat /data/file /single; echo new > /data/new; echo no > /ro/new; \
         echo t > /scratch/t && cat /scratch/t; df -m /scratch | tail -n1 | cut -c1-5; ls /deep/er",
    ]);
    let host = setup.dir.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "content\n").unwrap();
    setup.mount(json!({"destination": "/data", "type": "bind", "source": host, "options": ["rbind", "rprivate"]}));
    setup.mount(
        json!({"destination": "/ro", "type": "bind", "source": host, "options": ["rbind", "ro"]}),
    );
    setup.mount(json!({"destination": "/single", "type": "bind", "source": host.join("file"), "options": ["bind"]}));
    setup.mount(json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=1777"]}));
    setup.mount(
        json!({"destination": "/deep/er", "type": "bind", "source": host, "options": ["rbind"]}),
    );
    let (output, exit) = run(setup);
    assert_eq!(exit.exit_code, 0, "{output}");
    assert!(output.starts_with("content\ncontent\n"), "{output}");
    assert!(output.contains("can't create /ro/new: Read-only file system"), "{output}");
    assert!(output.contains("t\ntmpfs\n"), "{output}");
    assert!(output.ends_with("file\nnew\n"), "{output}");
}

#[test]
fn what_is_mounted_on_the_control_groups_is_seen() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "exec 2>&1; cat /sys/fs/cgroup/mine/file; ls /sys/fs/cgroup | grep -x pids; \
         mkdir /sys/fs/cgroup/other",
    ]);
    let dir = setup.dir.path().join("mine");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "seen\n").unwrap();
    setup.mount(json!({"destination": "/sys/fs/cgroup/mine", "type": "bind", "source": dir}));
    let (output, _) = run(setup);
    assert!(output.starts_with("seen\npids\n"), "{output}");
    assert!(output.contains("Read-only file system"), "{output}");
}

#[test]
fn sysctls_and_a_read_only_root() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax; echo x > /file",
    ]);
    setup.spec["linux"]["sysctl"] =
        json!({"net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "4321"});
    setup.spec["root"]["readonly"] = json!(true);
    let (output, exit) = run(setup);
    assert!(output.starts_with("77\n4321\n"), "{output}");
    assert!(output.contains("Read-only file system"), "{output}");
    assert_eq!(exit.exit_code, 1);
}

#[test]
fn a_network_namespace_comes_from_the_engine() {
    let netns = shoal_sys::netns::create().unwrap();
    let mut setup = Setup::new(&["readlink", "/proc/self/ns/net"]);
    setup.config.network_from_engine = true;
    let expected = {
        use std::os::fd::AsRawFd;
        fs::read_link(format!("/proc/self/fd/{}", netns.as_raw_fd())).unwrap()
    };
    let mut container = setup.try_create(Some(netns.as_fd())).ok().unwrap();
    let stream = container.attach(false);
    container.start();
    let (output, _) = common::collect(stream);
    assert_eq!(output.trim(), expected.to_str().unwrap());
    container.gone();
}

#[test]
fn shared_namespaces_are_joined_by_path() {
    let mut first = Setup::new(&["sleep", "1000"]).create();
    first.start();
    let pid = first.pid();
    let mut setup = Setup::new(&["sh", "-c", "hostname; echo $$; ps | grep -c 'sleep 1000'"]);
    setup.spec["hostname"] = json!(null);
    setup.spec["linux"]["namespaces"] = json!([
        {"type": "mount"},
        {"type": "pid", "path": format!("/proc/{pid}/ns/pid")},
        {"type": "uts", "path": format!("/proc/{pid}/ns/uts")},
        {"type": "ipc", "path": format!("/proc/{pid}/ns/ipc")},
        {"type": "network", "path": format!("/proc/{pid}/ns/net")}
    ]);
    let output = succeed(setup);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], "testhost");
    assert_ne!(lines[1], "1");
    assert!(lines[2].parse::<u32>().unwrap() >= 1, "{output}");
    first.finish();
}

/// Without an own pid namespace nothing dies by itself.
#[test]
fn the_hosts_pid_namespace_is_swept_at_the_end() {
    let mut setup = Setup::new(&["sh", "-c", "sleep 1000 & echo $!"]);
    setup.spec["linux"]["namespaces"] =
        json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
    let output = succeed(setup);
    let pid: u32 = output.trim().parse().unwrap();
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(!command.contains("1000"), "{command:?} is still there");
}
