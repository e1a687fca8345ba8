//! A container made of one static busybox, in a temporary directory, in a control
//! group of its own, gone when the test is over.

#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::result_large_err, reason = "a test fails where it stands")]

use std::{
    fs,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde_json::{Value, json};
use shoal_runtime::{
    bundle::{Bundle, ExitRecord, Lenient, LogConfig, RootFs, ShimConfig},
    client::{CallError, Connection, Output},
    launch::{CREATE_REQUEST_ID, Launched, ShimBinary, ShimProcess, launch},
    protocol::{ExecRequest, Failure, Operation, Reply, StateReport},
};
use shoal_sys::cgroup::{Cgroup, Layout};
use shoal_sys::seccomp::Program;

/// Long enough for a busy machine; reached only by a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The shim just built, or another one named in the environment, for trying the
/// tests on an optimised build.
static SHIM: LazyLock<ShimBinary> = LazyLock::new(|| {
    let path = std::env::var("SHOAL_TEST_SHIM");
    let path = path.unwrap_or_else(|_| env!("CARGO_BIN_EXE_shoal-shim").into());
    ShimBinary::open(Path::new(&path)).unwrap()
});
static NEXT: AtomicU32 = AtomicU32::new(0);

/// What a test wants to run, to be changed before [`Setup::create`].
pub struct Setup {
    pub dir: tempfile::TempDir,
    pub bundle: Bundle,
    pub spec: Value,
    pub config: ShimConfig,
    pub cgroup: Cgroup,
}

/// A container that was made.
pub struct Container {
    pub setup: Setup,
    pub control: Connection,
    pub process: Option<ShimProcess>,
}

impl Setup {
    /// A container that will run `args` with Docker's usual confinement.
    pub fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "bundle"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let lower = dir.path().join("lower");
        busybox(&lower);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("t{}-{number}", std::process::id());
        let path = format!("/shoal-runtime-test/{id}");
        let cgroup = Cgroup::at(&Layout::detect().unwrap(), &path).unwrap();
        let bundle = Bundle::new(dir.path().join("bundle"));
        let program = dir.path().join("seccomp.bpf");
        let compiled = Program::docker_default(CAPABILITIES).unwrap();
        compiled.write_to(fs::File::create(&program).unwrap()).unwrap();
        let config = ShimConfig {
            id,
            root: RootFs::Overlay {
                lower: vec![lower],
                upper: dir.path().join("upper"),
                work: dir.path().join("work"),
            },
            open_stdin: false,
            stdin_once: false,
            log: Some(LogConfig {
                path: dir.path().join("container-json.log"),
                max_size_bytes: None,
                max_files: 1,
            }),
            seccomp_program: Some(program),
            user_text: None,
            group_texts: vec![],
            network_from_engine: false,
            lenient: Lenient { rlimits: true, oom_score_adj: true },
        };
        Self { dir, bundle, spec: spec(args, &path), config, cgroup }
    }

    /// The image's directory, to put things in.
    pub fn lower(&self) -> PathBuf {
        self.dir.path().join("lower")
    }

    pub fn upper(&self) -> PathBuf {
        self.dir.path().join("upper")
    }

    pub fn mount(&mut self, mount: Value) {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
    }

    /// Launches and waits until the container is made.
    pub fn create(self) -> Container {
        self.try_create(None).unwrap_or_else(|(_, failure)| panic!("{failure}"))
    }

    pub fn try_create(self, netns: Option<BorrowedFd<'_>>) -> Result<Container, (Setup, Failure)> {
        self.bundle.write(&self.spec, &self.config).unwrap();
        let Launched { control, process } = launch(&SHIM, &self.bundle, netns).unwrap();
        let mut control = Connection::over(control);
        control.set_timeout(Some(PATIENCE)).unwrap();
        match control.answer(CREATE_REQUEST_ID) {
            Ok(Reply::Created { pid }) => assert!(pid > 0),
            Ok(other) => panic!("{other:?}"),
            Err(CallError::Failed(failure)) => {
                // The shim leaves by itself.
                assert!(control.output().unwrap().is_none());
                process.reap().unwrap();
                return Err((self, failure));
            }
            Err(error) => panic!("{error}: {:?}", self.shim_log()),
        }
        Ok(Container { setup: self, control, process: Some(process) })
    }

    pub fn shim_log(&self) -> String {
        fs::read_to_string(self.bundle.shim_log_path()).unwrap_or_default()
    }

    /// Nothing of the container is on the host any more.
    pub fn assert_clean(&self) {
        assert!(!self.cgroup.exists(), "control group left");
        assert!(!self.bundle.socket_path().exists(), "socket left");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().to_str().unwrap();
        assert!(!mounts.contains(dir), "mount left: {mounts}");
        assert_eq!(self.shim_log(), "");
    }
}

/// Makes, runs and waits; standard output and error together, and how it ended.
pub fn run(setup: Setup) -> (String, ExitRecord) {
    let mut container = setup.create();
    let stream = container.attach(false);
    container.start();
    let (output, exit) = collect(stream);
    container.finish();
    (output, exit)
}

/// [`run`] a shell script and expect success.
pub fn script(text: &str) -> String {
    succeed(Setup::new(&["sh", "-c", text]))
}

/// [`run`] and expect success.
pub fn succeed(setup: Setup) -> String {
    let (output, exit) = run(setup);
    assert_eq!(exit.exit_code, 0, "{output}");
    output
}

impl Container {
    pub fn call(&mut self, operation: Operation) -> Reply {
        self.control.call(operation).unwrap()
    }

    pub fn start(&mut self) {
        let reply = self.control.call(Operation::Start);
        assert!(matches!(reply, Ok(Reply::Started { .. })), "{reply:?}");
    }

    pub fn connect(&self) -> Connection {
        let connection = Connection::open(&self.setup.bundle).unwrap();
        connection.set_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    pub fn attach(&self, stdin: bool) -> Connection {
        let mut connection = self.connect();
        let attach = Operation::Attach { stdin, stdout: true, stderr: true };
        assert_eq!(connection.call(attach).unwrap(), Reply::Attached);
        connection
    }

    pub fn state(&mut self) -> StateReport {
        match self.call(Operation::State) {
            Reply::State(report) => report,
            other => panic!("{other:?}"),
        }
    }

    pub fn pid(&mut self) -> i32 {
        self.state().pid.unwrap()
    }

    pub fn kill(&mut self, signal: i32) {
        self.call(Operation::Kill { signal, all: false, exec: None });
    }

    pub fn wait(&mut self) -> ExitRecord {
        match self.call(Operation::Wait) {
            Reply::Exited(record) => record,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a command inside to its end.
    pub fn exec(&self, request: ExecRequest) -> Result<(String, i32), Failure> {
        let mut connection = self.connect();
        match connection.call(Operation::Exec(Box::new(request))) {
            Ok(Reply::ExecStarted { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(CallError::Failed(failure)) => return Err(failure),
            Err(error) => panic!("{error}"),
        }
        let (output, exit) = collect(connection);
        Ok((output, exit.exit_code))
    }

    /// Runs a shell script inside to its end.
    pub fn exec_script(&self, text: &str) -> (String, i32) {
        self.exec(exec_request(&["sh", "-c", text])).unwrap()
    }

    /// Kills it if it still runs, and sees to it that nothing is left.
    pub fn finish(mut self) -> ExitRecord {
        // It may have ended already, and the shim with it.
        let _ = self.control.send(Operation::Delete);
        self.gone()
    }

    /// Waits until the shim has left by itself.
    pub fn gone(mut self) -> ExitRecord {
        loop {
            match self.control.output() {
                Ok(None) => break,
                Ok(Some(_)) | Err(CallError::Unexpected(_)) => {}
                Err(CallError::Io(error))
                    if error.kind() == std::io::ErrorKind::ConnectionReset =>
                {
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.process.take().unwrap().reap().unwrap();
        self.setup.assert_clean();
        self.setup.bundle.read_exit().unwrap().expect("an exit record")
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // After a test that failed half-way.
        let _ = self.cgroup.thaw();
        let _ = self.cgroup.kill_all();
        let _ = self.cgroup.remove();
        for (_, dir) in self.cgroup.dirs() {
            // The last one to leave removes the parent.
            let _ = dir.parent().map(fs::remove_dir);
        }
    }
}

pub fn exec_request(args: &[&str]) -> ExecRequest {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    ExecRequest {
        exec_id: format!("exec{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        args: args.iter().map(|&one| one.to_owned()).collect(),
        env: vec!["PATH=/bin".into()],
        output: true,
        ..ExecRequest::default()
    }
}

/// Everything a stream carries until its end.
pub fn collect(mut stream: Connection) -> (String, ExitRecord) {
    let mut bytes = Vec::new();
    loop {
        match stream.output().unwrap() {
            Some(Output::Stdout(more) | Output::Stderr(more)) => bytes.extend(more),
            Some(Output::End(record)) => {
                return (String::from_utf8_lossy(&bytes).into_owned(), record);
            }
            None => panic!("the stream broke off after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// Reads until `wanted` has been seen.
pub fn read_until(stream: &mut Connection, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        match stream.output().unwrap() {
            Some(Output::Stdout(more) | Output::Stderr(more)) => {
                text.push_str(&String::from_utf8_lossy(&more));
            }
            other => panic!("{other:?} after {text:?}"),
        }
    }
    text
}

/// Runs on a thread with mounts of its own; shims started from it have them, too.
pub fn with_own_mounts(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        shoal_sys::process::leave_mounts().unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs on a thread that sees version 2 control groups only.
pub fn on_version_2(test: impl FnOnce() + Send + 'static) {
    with_own_mounts(|| {
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None).unwrap();
        assert!(Layout::detect().unwrap().is_v2());
        test();
    });
}

/// Waits until it holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An image: the program, its names, and the usual files.
fn busybox(root: &Path) {
    for name in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "true", "false", "cat", "echo", "sleep", "id", "ls", "mount", "umount", "mkdir",
        "rm", "kill", "ps", "dd", "head", "yes", "stat", "readlink", "hostname", "touch", "grep",
        "wc", "env", "pwd", "tty", "stty", "seq", "mknod", "ln", "chmod", "test", "printf", "ip",
        "od", "tail", "sort", "find", "date", "cut", "tr", "df",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nwww:x:33:\nvideo:x:44:www\n").unwrap();
}

fn spec(args: &[&str], cgroup: &str) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "hostname": "testhost",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "cwd": "/",
            "env": ["PATH=/usr/bin:/bin"],
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES
            },
            "noNewPrivileges": false,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"},
                {"type": "network"}, {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                "/sys/firmware", "/sys/devices/virtual/powercap"
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"
            ],
        }
    })
}
