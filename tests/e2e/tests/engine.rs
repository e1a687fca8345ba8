//! One node's containers through the docker CLI.

use std::{
    io::{Read, Write},
    process::Stdio,
};

use shoal_e2e::{Cluster, Images, until};

const IMAGE: &str = Images::BUSYBOX;

fn one() -> Cluster {
    let cluster = Cluster::apart(1);
    Images::busybox(cluster.node(1));
    cluster
}

#[test]
fn run_and_its_exit_codes() {
    let cluster = one();
    let run = |args: &[&str]| cluster.docker(&[&["run", "--rm"][..], args].concat());
    assert_eq!(run(&[IMAGE, "echo", "hello"]).ok(), "hello");
    assert_eq!(run(&[IMAGE, "sh", "-c", "exit 7"]).code, 7);
    // The first process of a container is deaf to its own SIGKILL: a second one.
    assert_eq!(run(&[IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
    let missing = run(&[IMAGE, "no-such-program"]);
    assert_eq!(missing.code, 127, "{}", missing.stderr);
    assert!(missing.stderr.contains("executable file not found"), "{}", missing.stderr);
    let not_executable = run(&[IMAGE, "/etc/passwd"]);
    assert_eq!(not_executable.code, 126, "{}", not_executable.stderr);
    assert!(not_executable.stderr.contains("permission denied"), "{}", not_executable.stderr);
    let no_image = run(&["localhost:1/nothing:here", "true"]);
    assert_eq!(no_image.code, 125, "{}", no_image.stderr);
    assert_eq!(cluster.docker(&["ps", "-aq"]).ok(), "");
}

#[test]
fn environment_user_directory_and_standard_input() {
    let cluster = one();
    let node = cluster.node(1);
    let output = node.docker(&[
        "run",
        "--rm",
        "-e",
        "A=1",
        "-w",
        "/tmp",
        "-u",
        "alice",
        "--hostname",
        "box",
        IMAGE,
        "sh",
        "-c",
        "echo $A $PWD $(id -u):$(id -g) $(hostname)",
    ]);
    assert_eq!(output.ok(), "1 /tmp 1000:1000 box");
    let output =
        node.docker_program().args(["run", "--rm", "-i", IMAGE, "wc", "-c"]).stdin("12345").run();
    assert_eq!(output.ok(), "5");
}

#[test]
fn a_terminal() {
    let cluster = one();
    // `script` gives the client the terminal it asks for.
    let node = cluster.node(1);
    let line = format!("docker run --rm -it {IMAGE} sh -c 'tty; stty size; exit 3'");
    let output = shoal_e2e::Program::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("DOCKER_HOST", &node.docker_host)
        .stdin("")
        .run();
    assert!(output.stdout.contains("/dev/pts/0"), "{}", output.stdout);
    assert_eq!(output.code, 3, "{}", output.stdout);
}

#[test]
fn the_life_of_a_container() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    docker(&[
        "create",
        "--name",
        "cc",
        IMAGE,
        "sh",
        "-c",
        "trap 'exit 4' TERM; echo up; sleep 1000 & wait",
    ])
    .ok();
    docker(&["create", "--name", "cc", IMAGE])
        .fails_with("The container name \"/cc\" is already in use by container");
    docker(&["start", "cc"]).ok();
    until("the first line", || docker(&["logs", "cc"]).ok().contains("up").then_some(()));
    let listed = docker(&["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"]);
    assert_eq!(listed.ok(), format!("cc {IMAGE} running"));
    assert_eq!(docker(&["exec", "cc", "echo", "inside"]).ok(), "inside");
    assert_eq!(docker(&["exec", "cc", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(
        docker(&["exec", "-u", "alice", "-e", "X=y", "cc", "sh", "-c", "id -u; echo $X"]).ok(),
        "1000\ny"
    );
    docker(&["rm", "cc"]).fails_with("container is running");
    docker(&["stop", "cc"]).ok();
    assert_eq!(docker(&["wait", "cc"]).ok(), "4");
    let state = docker(&[
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}",
        "cc",
    ]);
    assert_eq!(state.ok(), "exited 4 false");
    docker(&["exec", "cc", "true"]).fails_with("is not running");
    docker(&["start", "cc"]).ok();
    docker(&["kill", "-s", "KILL", "cc"]).ok();
    until("the kill", || {
        (docker(&["inspect", "-f", "{{.State.ExitCode}}", "cc"]).ok() == "137").then_some(())
    });
    docker(&["rm", "cc"]).ok();
    docker(&["inspect", "cc"]).fails_with("No such object: cc");
    docker(&["start", "nobody"]).fails_with("No such container: nobody");
}

#[test]
fn logs_follow_tail_since_and_timestamps() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    docker(&[
        "run",
        "--name",
        "log",
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2",
    ])
    .ok();
    assert_eq!(docker(&["logs", "--tail", "2", "log"]).stdout.lines().last(), Some("line 5"));
    assert_eq!(docker(&["logs", "log"]).stderr.trim(), "oops");
    let stamped = docker(&["logs", "-t", "--tail", "all", "log"]);
    assert!(
        stamped.ok().lines().all(|line| line.contains('T') && line.contains("Z line ")),
        "{}",
        stamped.stdout
    );
    assert_eq!(docker(&["logs", "--since", "2100-01-01T00:00:00Z", "log"]).ok(), "");
    let followed = docker(&["logs", "-f", "log"]);
    assert_eq!(followed.ok().lines().count(), 5);
    docker(&["logs", "nobody"]).fails_with("No such container: nobody");
}

#[test]
fn volumes() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    docker(&["volume", "create", "vol"]).ok();
    docker(&["run", "--rm", "-v", "vol:/data", IMAGE, "sh", "-c", "echo kept > /data/f"]).ok();
    assert_eq!(
        docker(&["run", "--rm", "-v", "vol:/data:ro", IMAGE, "cat", "/data/f"]).ok(),
        "kept"
    );
    let readonly =
        docker(&["run", "--rm", "-v", "vol:/data:ro", IMAGE, "sh", "-c", "echo no > /data/f"]);
    assert!(readonly.stderr.contains("Read-only file system"), "{}", readonly.stderr);
    docker(&["create", "--name", "user", "-v", "vol:/data", IMAGE]).ok();
    docker(&["volume", "rm", "vol"]).fails_with("volume is in use");
    docker(&["rm", "-v", "user"]).ok();
    let bind = cluster.dir().join("bound");
    std::fs::create_dir(&bind).expect("a folder");
    std::fs::write(bind.join("f"), "from the host").expect("a file");
    let mount = format!("{}:/b", bind.display());
    assert_eq!(docker(&["run", "--rm", "-v", &mount, IMAGE, "cat", "/b/f"]).ok(), "from the host");
    docker(&["run", "--rm", "-v", "/anonymous", IMAGE, "touch", "/anonymous/x"]).ok();
    assert_eq!(docker(&["volume", "ls", "-q"]).ok(), "vol");
    let missing = format!("type=bind,src={},dst=/x", cluster.dir().join("missing").display());
    docker(&["run", "--rm", "--mount", &missing, IMAGE])
        .fails_with("bind source path does not exist");
    docker(&["volume", "rm", "vol"]).ok();
}

#[test]
fn networks_names_and_published_ports() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    let server = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    docker(&["network", "create", "n"]).ok();
    docker(
        &[
            &[
                "run",
                "-d",
                "--name",
                "web",
                "--network",
                "n",
                "--network-alias",
                "w",
                "-p",
                "8080:80",
                IMAGE,
            ][..],
            &server,
        ]
        .concat(),
    )
    .ok();
    // busybox's own wget does not run here: nc asks.
    let ask = |host: &str, port: &str| {
        format!("printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | nc {host} {port} | grep -c alice")
    };
    for name in ["web", "w"] {
        let asks = ask(name, "80");
        // The server was started a moment ago.
        until("the server to answer", || {
            let answer = docker(&["run", "--rm", "--network", "n", IMAGE, "sh", "-c", &asks]);
            (answer.stdout.trim() == "1").then_some(())
        });
    }
    let from_host = shoal_e2e::Program::new("sh")
        .args([
            "-c",
            &format!(
                "{} || true",
                ask(&cluster.node(1).address, "8080").replace("nc ", "busybox nc ")
            ),
        ])
        .run();
    assert_eq!(from_host.ok(), "1", "from another machine");
    let local =
        cluster.inside(1, &["sh", "-c", &ask("127.0.0.1", "8080").replace("nc ", "busybox nc ")]);
    assert_eq!(local.ok(), "1", "from the machine itself");
    docker(&[&["run", "-d", "-p", "8080:80", IMAGE][..], &server].concat())
        .fails_with("port is already allocated");
    docker(&["network", "rm", "n"]).fails_with("has active endpoints");
    docker(&["run", "--rm", "--network", "nowhere", IMAGE])
        .fails_with("Error response from daemon: network nowhere not found");
    let alone = docker(&["run", "--rm", "--network", "none", IMAGE, "ip", "link"]);
    assert!(alone.ok().contains("lo") && !alone.ok().contains("eth0"), "{}", alone.stdout);
    docker(&["rm", "-f", "web"]).ok();
    docker(&["network", "rm", "n"]).ok();
}

#[test]
fn limits_and_the_kill_for_memory() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    let greedy = "x=a; while :; do x=$x$x; done";
    let killed = docker(&["run", "--name", "greedy", "-m", "16m", IMAGE, "sh", "-c", greedy]);
    assert_eq!(killed.code, 137, "{}", killed.stderr);
    assert_eq!(docker(&["inspect", "-f", "{{.State.OOMKilled}}", "greedy"]).ok(), "true");
    docker(&["run", "--rm", "--cpus", "0.5", "--pids-limit", "20", IMAGE, "true"]).ok();
    docker(&["run", "--rm", "-m", "1k", IMAGE, "true"])
        .fails_with("Minimum memory limit allowed is 6MB");
}

#[test]
fn what_is_not_supported_is_named() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    docker(&["run", "--rm", "--runtime", "kata", IMAGE]).fails_with("kata");
    docker(&["run", "--rm", "--gpus", "all", IMAGE]).fails_with("--gpus");
    docker(&["run", "--rm", "--log-driver", "syslog", IMAGE]).fails_with("syslog");
    docker(&["network", "create", "-d", "nonsense", "x"]).fails_with("nonsense");
    docker(&["volume", "create", "-d", "nfs", "x"]).fails_with("nfs");
    assert_eq!(cluster.docker(&["ps", "-aq"]).ok(), "");
}

#[test]
fn events_tell_what_happens() {
    let cluster = one();
    let mut events = cluster
        .node(1)
        .docker_program()
        .args(["events", "--filter", "type=container", "--format", "{{.Action}}"])
        .into_command()
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker");
    // The stream starts with the next event: make them until one is heard.
    let mut pipe = events.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut buffer = [0; 256];
        while !String::from_utf8_lossy(&text).contains("destroy") {
            let count = pipe.read(&mut buffer).expect("events");
            assert_ne!(count, 0, "the stream ended");
            text.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    until("a destroy event", || {
        cluster.docker(&["run", "--rm", IMAGE, "true"]).ok();
        reader.is_finished().then_some(())
    });
    let text = reader.join().expect("a reader");
    for action in ["create", "start", "die", "destroy"] {
        assert!(text.contains(action), "{action} in {text}");
    }
    events.kill().expect("docker was running");
    events.wait().expect("docker ends");
}

#[test]
fn attach_speaks_and_listens() {
    let cluster = one();
    cluster
        .docker(&[
            "run",
            "-d",
            "-i",
            "--name",
            "att",
            IMAGE,
            "sh",
            "-c",
            "read x; echo heard $x; exit 5",
        ])
        .ok();
    let mut attach = cluster
        .node(1)
        .docker_program()
        .args(["attach", "att"])
        .into_command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker");
    attach.stdin.take().expect("a pipe").write_all(b"you\n").expect("docker reads");
    let output = attach.wait_with_output().expect("docker ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "heard you");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn restart_policies() {
    let cluster = one();
    let docker = |args: &[&str]| cluster.docker(args);
    docker(&["run", "-d", "--name", "again", "--restart", "always", IMAGE, "sleep", "100000"]).ok();
    let pid = || docker(&["inspect", "-f", "{{.State.Pid}}", "again"]).ok().to_owned();
    let first = pid();
    cluster.inside(1, &["kill", "-9", &first]).ok();
    until("another process", || {
        let now = pid();
        (now != first && now != "0").then_some(())
    });
    assert_eq!(docker(&["inspect", "-f", "{{.RestartCount}}", "again"]).ok(), "1");
    docker(&["stop", "-t", "0", "again"]).ok();
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", "again"]).ok(), "false");
    docker(&["run", "-d", "--name", "fails", "--restart", "on-failure:2", IMAGE, "false"]).ok();
    until("it gives up", || {
        let text = docker(&["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "fails"]);
        (text.ok() == "2 exited").then_some(())
    });
}
