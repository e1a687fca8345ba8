//! What goes wrong, and how it ends: a clear error, nothing lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use shoal_e2e::{Cluster, Images, Node, Program, until};

const IMAGE: &str = Images::BUSYBOX;
/// How long garbage may wait for an answer it need not get.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
/// More than the sockets between a client and the daemon hold.
const UPLOAD: usize = 16 << 20;
const SLEEP: &[&str] = &["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

fn service(node: &Node, name: &str, replicas: &str) {
    let create = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        name,
        "--replicas",
        replicas,
        "--network",
        "host",
        IMAGE,
    ];
    node.docker(&[&create[..], SLEEP].concat()).ok();
}

/// Running tasks by node name.
fn running(node: &Node, service: &str) -> Vec<String> {
    let listed = node.docker(&[
        "service",
        "ps",
        service,
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Node}} {{.CurrentState}}",
    ]);
    let lines = listed.ok().lines().filter(|line| line.contains(" Running"));
    lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn until_running(node: &Node, service: &str, count: usize) -> Vec<String> {
    until(&format!("{count} running of {service}"), || {
        let nodes = running(node, service);
        (nodes.len() == count).then_some(nodes)
    })
}

fn containers(node: &Node) -> usize {
    node.docker(&["ps", "-q"]).ok().lines().count()
}

fn context(cluster: &Cluster, dockerfile: &str) -> String {
    let dir = cluster.dir().join("context");
    std::fs::create_dir_all(&dir).expect("a folder");
    std::fs::write(dir.join("Dockerfile"), dockerfile).expect("a file");
    dir.to_string_lossy().into_owned()
}

#[test]
fn joining_with_a_wrong_token() {
    let cluster = Cluster::apart(2);
    let manager = cluster.node(1);
    manager.docker(&["swarm", "init", "--advertise-addr", &manager.address]).ok();
    let token = manager.docker(&["swarm", "join-token", "-q", "worker"]).ok().to_owned();
    let address = format!("{}:2377", manager.address);
    let join = |token: &str| cluster.node(2).docker(&["swarm", "join", "--token", token, &address]);
    let mut parts: Vec<_> = token.split('-').map(str::to_owned).collect();
    // The right cluster, the wrong secret.
    parts[3] = "0".repeat(25);
    join(&parts.join("-")).fails_with("A valid join token is necessary to join this cluster");
    // Another cluster's authority.
    parts[2] = "0".repeat(50);
    join(&parts.join("-")).fails_with("remote CA does not match fingerprint");
    join("nonsense").fails_with("invalid join token");
    assert_eq!(manager.docker(&["node", "ls", "-q"]).ok().lines().count(), 1);
    // And the node that was refused can still join.
    join(&token).ok();
    join(&token).fails_with("already part of a swarm");
    cluster.node(2).docker(&["service", "ls"]).fails_with("This node is not a swarm manager");
}

#[test]
fn an_error_in_a_dockerfile_names_the_line() {
    let cluster = Cluster::apart(1);
    Images::busybox(cluster.node(1));
    let build = |text: &str| cluster.docker(&["build", "-t", "x", &context(&cluster, text)]);
    build("FROM busybox:test\n\nFOO bar\n")
        .fails_with("dockerfile parse error on line 3: unknown instruction: FOO");
    build("FROM busybox:test\nRUN exit 3\n").fails_with("returned a non-zero code: 3");
    build("FROM busybox:test\nCOPY missing /\n").fails_with("missing");
    build("FROM busybox:test\nADD http://example.com/x /\n").fails_with("line 2");
    build("").fails_with("cannot be empty");
    assert_eq!(cluster.docker(&["images", "-q", "x"]).ok(), "");
    assert_eq!(cluster.docker(&["ps", "-aq"]).ok(), "");
}

#[test]
fn a_registry_that_is_down() {
    let cluster = Cluster::apart(1);
    Images::busybox(cluster.node(1));
    cluster.docker(&["tag", IMAGE, "localhost:1/x:1"]).ok();
    cluster.docker(&["push", "localhost:1/x:1"]).fails_with("connection refused");
    cluster.docker(&["pull", "localhost:1/y:1"]).fails_with("connection refused");
}

#[test]
fn an_image_that_is_not_there() {
    let cluster = Cluster::swarm(1);
    let node = cluster.node(1);
    Images::busybox(node);
    service(node, "good", "2");
    node.docker(&[
        "service",
        "create",
        "--detach",
        "--name",
        "bad",
        "--no-resolve-image",
        "localhost:1/nothing:1",
    ])
    .ok();
    until("the reason", || {
        let listed = node.docker(&[
            "service",
            "ps",
            "bad",
            "--no-trunc",
            "--format",
            "{{.CurrentState}} {{.Error}}",
        ]);
        let said = listed.ok().lines().any(|line| {
            line.starts_with("Rejected") && line.to_lowercase().contains("connection refused")
        });
        said.then_some(())
    });
    until_running(node, "good", 2);
    node.docker(&["service", "rm", "bad"]).ok();
}

#[test]
fn a_task_that_fits_nowhere_says_why() {
    let cluster = Cluster::swarm(1);
    let node = cluster.node(1);
    Images::busybox(node);
    node.docker(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "s",
        "--constraint",
        "node.labels.disk==ssd",
        IMAGE,
        "sleep",
        "1000",
    ])
    .ok();
    until("the reason", || {
        let listed = node.docker(&[
            "service",
            "ps",
            "s",
            "--no-trunc",
            "--format",
            "{{.CurrentState}} {{.Error}}",
        ]);
        (listed.ok().contains("Pending") && listed.ok().contains("no suitable node")).then_some(())
    });
    node.docker(&["node", "update", "--label-add", "disk=ssd", &node.name]).ok();
    until_running(node, "s", 1);
}

#[test]
fn no_space_left() {
    let cluster = Cluster::apart(2);
    Images::busybox(cluster.node(1));
    // The second node's state on a small disk of its own.
    let lib = cluster.node_dir(2).join("lib");
    cluster
        .inside(
            2,
            &[
                "mount",
                "-t",
                "tmpfs",
                "-o",
                "size=1m",
                "tmpfs",
                &lib.join("image").to_string_lossy(),
            ],
        )
        .ok();
    cluster.kill_daemon(2);
    let file = cluster.dir().join("saved.tar");
    cluster.docker(&["save", "-o", &file.to_string_lossy(), IMAGE]).ok();
    let load = cluster.node(2).docker(&["load", "-i", &file.to_string_lossy()]);
    assert!(load.code != 0 && load.stderr.contains("no space left on device"), "{load:?}");
    assert_eq!(cluster.node(2).docker(&["images", "-q"]).ok(), "");
    // The daemon goes on, and with room the same load works.
    cluster
        .inside(2, &["mount", "-o", "remount,size=64m", &lib.join("image").to_string_lossy()])
        .ok();
    cluster.node(2).docker(&["load", "-i", &file.to_string_lossy()]).ok();
    assert_eq!(cluster.node(2).docker(&["run", "--rm", IMAGE, "echo", "room"]).ok(), "room");
}

#[test]
fn no_space_left_for_the_cluster() {
    let mut cluster = Cluster::apart(1);
    for text in
        ["the manager does not work any more", "No space left on device", "the journal of tasks"]
    {
        cluster.expect_in_log(text);
    }
    let swarm = cluster.node_dir(1).join("lib/swarm").to_string_lossy().into_owned();
    cluster.inside(1, &["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", &swarm]).ok();
    cluster.kill_daemon(1);
    let node = cluster.node(1);
    Images::busybox(node);
    node.docker(&["swarm", "init", "--advertise-addr", &node.address]).ok();
    node.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "kept",
        "--network",
        "host",
        IMAGE,
        "sleep",
        "1000",
    ])
    .ok();
    until_running(node, "kept", 1);
    let filler = format!("{swarm}/filler");
    cluster.inside(1, &["sh", "-c", &format!("cat /dev/zero > {filler}; true")]).ok();
    until("a change that cannot be written", || {
        let change = node.docker(&["service", "update", "-d", "--force", "kept"]);
        (change.code != 0).then_some(())
    });
    cluster.inside(1, &["rm", &filler]).ok();
    // With room the node comes back by itself, and so does what was acknowledged.
    until("the cluster works again", || {
        let scaled = node.docker(&["service", "scale", "-d", "kept=2"]);
        (scaled.code == 0).then_some(())
    });
    until_running(node, "kept", 2);
}

#[test]
fn the_daemon_killed_while_containers_run() {
    let cluster = Cluster::apart(1);
    let node = cluster.node(1);
    Images::busybox(node);
    node.docker(&[
        "run",
        "-d",
        "--name",
        "runs",
        IMAGE,
        "sh",
        "-c",
        "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done",
    ])
    .ok();
    node.docker(&["run", "-d", "--name", "ends", IMAGE, "sh", "-c", "sleep 1; exit 6"]).ok();
    node.docker(&[
        "run", "-d", "-p", "8080:80", "--name", "web", IMAGE, "httpd", "-f", "-p", "80", "-h",
        "/etc",
    ])
    .ok();
    let pid = node.docker(&["inspect", "-f", "{{.State.Pid}}", "runs"]).ok().to_owned();
    cluster.kill_daemon(1);
    assert_eq!(
        node.docker(&["inspect", "-f", "{{.State.Pid}}", "runs"]).ok(),
        pid,
        "the same process"
    );
    assert_eq!(node.docker(&["wait", "ends"]).ok(), "6");
    let lines = |text: &str| text.lines().count();
    let before = lines(node.docker(&["logs", "runs"]).ok());
    until("more of the log", || {
        (lines(node.docker(&["logs", "runs"]).ok()) > before).then_some(())
    });
    assert_eq!(node.docker(&["exec", "runs", "echo", "still"]).ok(), "still");
    let ask = format!(
        "printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | busybox nc {} 8080 | grep -c alice",
        node.address
    );
    assert_eq!(Program::new("sh").args(["-c", &ask]).run().ok(), "1");
    node.docker(&["rm", "-f", "runs", "web"]).ok();
}

#[test]
fn the_daemon_killed_while_starting_a_hundred() {
    let cluster = Cluster::apart(1);
    let node = cluster.node(1);
    Images::busybox(node);
    node.docker(&["run", "-d", "--name", "before", IMAGE, "sleep", "100000"]).ok();
    let starter = {
        let node = node.clone();
        std::thread::spawn(move || {
            for number in 0..100 {
                // Those that meet the dead daemon fail; that is the point.
                node.docker(&[
                    "run",
                    "-d",
                    "--name",
                    &format!("c{number}"),
                    IMAGE,
                    "sleep",
                    "100000",
                ]);
            }
        })
    };
    until("some to run", || (containers(node) > 10).then_some(()));
    cluster.kill_daemon(1);
    starter.join().expect("the starter ends");
    assert_eq!(node.docker(&["inspect", "-f", "{{.State.Running}}", "before"]).ok(), "true");
    // Whatever is listed is whole: it runs, or it can be started or removed.
    let listed = node.docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().to_owned();
    for line in listed.lines() {
        let (name, state) = line.split_once(' ').expect("a name and a state");
        match state {
            "running" => assert_eq!(node.docker(&["exec", name, "echo", "x"]).ok(), "x", "{line}"),
            _ => _ = node.docker(&["start", name]).ok().to_owned(),
        }
    }
    let all = node.docker(&["ps", "-aq"]).ok().to_owned();
    let all: Vec<_> = all.lines().collect();
    node.docker(&[&["rm", "-f"][..], &all].concat()).ok();
    let shims = cluster.inside(1, &["sh", "-c", "cat /proc/[0-9]*/comm | grep -c shoal-shim"]);
    assert_eq!(shims.stdout.trim(), "0");
}

#[test]
fn the_daemon_killed_while_building_and_pulling() {
    let cluster = Cluster::apart(1);
    let node = cluster.node(1);
    Images::busybox(node);
    Images::registry(node, 5000);
    node.docker(&["tag", "registry", "localhost:5000/big:1"]).ok();
    node.docker(&["push", "localhost:5000/big:1"]).ok();
    node.docker(&["rmi", "localhost:5000/big:1"]).ok();

    let dir =
        context(&cluster, "FROM busybox:test\nRUN echo one > /one\nRUN echo waiting; sleep 100\n");
    let building = {
        let node = node.clone();
        std::thread::spawn(move || node.docker(&["build", "-t", "built", &dir]))
    };
    until("the build's container", || (sleepers(&cluster) > 0).then_some(()));
    cluster.kill_daemon(1);
    assert_ne!(building.join().expect("docker ends").code, 0);
    let pulling = {
        let node = node.clone();
        std::thread::spawn(move || node.docker(&["pull", "localhost:5000/big:1"]))
    };
    cluster.kill_daemon(1);
    // It may have been done before the kill, or not have begun: both are fine.
    let _ = pulling.join().expect("docker ends");
    node.docker(&["pull", "localhost:5000/big:1"]).ok();
    let dir = context(&cluster, "FROM busybox:test\nRUN echo one > /one\nRUN cat /one\n");
    node.docker(&["build", "-t", "built", &dir]).ok();
    assert_eq!(node.docker(&["run", "--rm", "built", "cat", "/one"]).ok(), "one");
    assert_eq!(sleepers(&cluster), 0, "the killed build's step is gone");
    let tmp = cluster.node_dir(1).join("lib/tmp");
    let files = std::fs::read_dir(&tmp).map_or(0, Iterator::count);
    assert_eq!(files, 0, "nothing half-made below {}", tmp.display());
}

/// Processes `sleep 100` on the first node.
fn sleepers(cluster: &Cluster) -> usize {
    let list = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null";
    let listed = cluster.inside(1, &["sh", "-c", list]);
    listed.stdout.lines().filter(|line| line.trim() == "sleep 100").count()
}

#[test]
fn the_manager_killed_during_a_rolling_update() {
    let cluster = Cluster::swarm(2);
    let manager = cluster.node(1);
    for node in cluster.nodes() {
        Images::busybox(node);
        node.docker(&["tag", IMAGE, "busybox:next"]).ok();
    }
    service(manager, "s", "6");
    until_running(manager, "s", 6);
    manager
        .docker(&[
            "service",
            "update",
            "--detach",
            "--no-resolve-image",
            "--image",
            "busybox:next",
            "--update-parallelism",
            "1",
            "--update-delay",
            "1s",
            "--update-monitor",
            "1ms",
            "s",
        ])
        .ok();
    let next = || {
        let listed = manager.docker(&[
            "service",
            "ps",
            "s",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.Image}} {{.CurrentState}}",
        ]);
        listed.ok().lines().filter(|line| line.starts_with("busybox:next Running")).count()
    };
    until("the first of the new", || (next() >= 1).then_some(()));
    cluster.kill_daemon(1);
    until("all of the new", || (next() == 6).then_some(()));
    until("the update to end", || {
        let service = manager.docker_json(&["service", "inspect", "s"]);
        (service[0]["UpdateStatus"]["State"] == "completed").then_some(())
    });
    assert_eq!(running(manager, "s").len(), 6);
}

/// The host's end of a node's cable, down or up.
fn cable(cluster: &Cluster, number: usize, state: &str) {
    let links = Program::new("ip").args(["-o", "link", "show", "type", "veth"]).run();
    let suffix = format!("n{number}");
    let link = links
        .ok()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter_map(|name| name.split('@').next())
        .find(|name| name.starts_with("shc") && name.ends_with(&suffix))
        .unwrap_or_else(|| {
            panic!("no cable of node {number} of {}: {}", cluster.name(), links.stdout)
        })
        .to_owned();
    Program::new("ip").args(["link", "set", &link, state]).run().ok();
}

#[test]
fn a_worker_cut_off_for_three_seconds_and_for_thirty() {
    let mut cluster = Cluster::swarm(3);
    cluster.expect_in_log("heartbeat");
    cluster.expect_in_log("session");
    let manager = cluster.node(1).clone();
    for node in cluster.nodes() {
        Images::busybox(node);
    }
    service(&manager, "s", "3");
    let mut before = until_running(&manager, "s", 3);
    before.sort();
    let third = cluster.node(3).clone();
    let tasks = || manager.docker(&["service", "ps", "-q", "s"]).ok().to_owned();
    let ids = tasks();

    cable(&cluster, 3, "down");
    // Here a stretch of time is what is tested.
    std::thread::sleep(Duration::from_secs(3));
    cable(&cluster, 3, "up");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(tasks(), ids, "nothing moved");
    assert_eq!(containers(&third), 1);

    cable(&cluster, 3, "down");
    let moved = until("its task to move", || {
        let nodes = running(&manager, "s");
        (nodes.len() == 3 && !nodes.contains(&third.name)).then_some(nodes)
    });
    assert_eq!(moved.len(), 3);
    assert_eq!(containers(&third), 1, "cut off, it goes on");
    cable(&cluster, 3, "up");
    until("the surplus to stop", || (containers(&third) == 0).then_some(()));
    until_running(&manager, "s", 3);
}

#[test]
fn who_is_still_sending_hears_why_it_is_refused() {
    let cluster = Cluster::apart(1);
    let socket = cluster.node(1).docker_host.trim_start_matches("unix://").to_owned();
    for what in ["build?version=2", "images/load?platform=x", "images/create?fromSrc=http://x"] {
        let head = format!(
            "POST /{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {UPLOAD}\r\n\r\n"
        );
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.write_all(head.as_bytes()).expect("a head");
        stream.write_all(&vec![0; UPLOAD]).expect("a body");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 501 "), "{what}: {answer}");
    }
}

#[test]
fn garbage_on_every_port_and_socket() {
    let cluster = Cluster::swarm(1);
    let node = cluster.node(1);
    Images::busybox(node);
    Images::registry(node, 5000);
    let socket = node.docker_host.trim_start_matches("unix://").to_owned();
    let garbage: Vec<Vec<u8>> = vec![
        vec![0; 65536],
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{".to_vec(),
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n}}}}".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".iter().chain(&[0xff; 600]).copied().collect(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".iter().chain(&[0xff; 600]).copied().collect(),
        (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
    ];
    for bytes in &garbage {
        for port in [2377, 5000] {
            let mut stream = until("the port to be open", || {
                TcpStream::connect((node.address.as_str(), port)).ok()
            });
            stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a limit");
            shake(&mut stream, bytes);
        }
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a limit");
        shake(&mut stream, bytes);
        for shim in shims(&cluster) {
            let mut stream = UnixStream::connect(shim).expect("it listens");
            stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a limit");
            shake(&mut stream, bytes);
        }
    }
    assert_eq!(node.docker(&["run", "--rm", IMAGE, "echo", "fine"]).ok(), "fine");
    assert_eq!(node.docker(&["inspect", "-f", "{{.State.Running}}", "registry"]).ok(), "true");
    assert_eq!(node.docker(&["exec", "registry", "/shoal", "--version"]).code, 0);
    node.docker(&["node", "ls"]).ok();
}

/// The shims' sockets, by links short enough for an address.
fn shims(cluster: &Cluster) -> Vec<std::path::PathBuf> {
    let bundles = std::fs::read_dir(cluster.node_dir(1).join("run/containers")).expect("bundles");
    let short = |(number, entry): (usize, std::fs::DirEntry)| {
        let link = cluster.dir().join(number.to_string());
        // There from the round before.
        let _ = std::os::unix::fs::symlink(entry.path(), &link);
        link.join("shim.sock")
    };
    let sockets: Vec<_> =
        bundles.flatten().enumerate().map(short).filter(|path| path.exists()).collect();
    assert!(!sockets.is_empty(), "the registry has a shim");
    sockets
}

/// Writes and reads what comes; the other side may end it at any time.
fn shake(stream: &mut (impl Read + Write), bytes: &[u8]) {
    let _ = stream.write_all(bytes);
    let mut answer = [0; 4096];
    let _ = stream.read(&mut answer);
}
