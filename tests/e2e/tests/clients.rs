//! Other real clients: docker-py, skopeo, the shoal command line.

use shoal_e2e::{Cluster, Images, Program, until};

const IMAGE: &str = Images::BUSYBOX;

/// Runs a script with Debian's docker-py.
fn python(cluster: &Cluster, script: &str) -> shoal_e2e::Output {
    Program::new("/usr/bin/python3")
        .args(["-c", script])
        .env("DOCKER_HOST", &cluster.node(1).docker_host)
        .run()
}

#[test]
fn docker_py_runs_containers() {
    let cluster = Cluster::apart(1);
    Images::busybox(cluster.node(1));
    let script = r#"
import docker, io
client = docker.from_env()
image = "busybox:test"
assert client.ping()
assert client.containers.run(image, "echo hello", remove=True) == b"hello\n"
try:
    client.containers.run(image, "sh -c 'exit 3'")
    raise SystemExit("no error")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3, error
try:
    client.containers.get("nobody")
    raise SystemExit("no error")
except docker.errors.NotFound:
    pass
container = client.containers.run(
    image, ["httpd", "-f", "-p", "5000", "-h", "/etc"], detach=True,
    ports={"5000/tcp": ("127.0.0.1", 5000)}, name="master", labels={"a": "b"})
container.reload()
settings = container.attrs["NetworkSettings"]
assert settings["IPAddress"].count(".") == 3, settings
assert settings["Ports"]["5000/tcp"][0]["HostPort"] == "5000", settings
assert [c.name for c in client.containers.list(filters={"label": "a=b"})] == ["master"]
code, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 2"], demux=True)
assert (code, output) == (2, (b"out\n", b"err\n")), (code, output)
assert container.stats(stream=False)["memory_stats"]["usage"] > 0
assert container.top()["Processes"]
container.stop(timeout=0)
container.remove()
volume = client.volumes.create("vol")
assert [v.name for v in client.volumes.list()] == ["vol"]
volume.remove()
network = client.networks.create("n", driver="bridge")
assert client.networks.get("n").attrs["Driver"] == "bridge"
network.remove()
assert image in client.images.get(image).tags
dockerfile = io.BytesIO(b"FROM busybox:test\nRUN echo a > /a\n")
built, _ = client.images.build(fileobj=dockerfile)
client.images.remove(built.id)
cache = client.df()["BuildCache"]
assert [step["Shared"] for step in cache] == [False], cache
assert client.api.prune_builds() == {"CachesDeleted": [cache[0]["ID"]], "SpaceReclaimed": 2}
print("fine")
"#;
    assert_eq!(python(&cluster, script).ok(), "fine");
    assert_eq!(cluster.docker(&["ps", "-aq"]).ok().lines().count(), 1, "the one that failed");
    assert!(cluster.docker(&["system", "prune", "-f"]).ok().contains("Total reclaimed space"));
}

#[test]
fn docker_py_drives_a_swarm() {
    let cluster = Cluster::swarm(1);
    Images::busybox(cluster.node(1));
    let script = r#"
import docker, time
client = docker.from_env()
service = client.services.create(
    "busybox:test", command=["sleep", "100000"], name="s", networks=["host"],
    mode=docker.types.ServiceMode("replicated", 3))
def running():
    return sum(t["Status"]["State"] == "running" for t in service.tasks())
while running() != 3:
    time.sleep(0.05)
service.reload()
assert service.scale(1)
while running() != 1:
    time.sleep(0.05)
assert client.swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")
assert [n.attrs["Status"]["State"] for n in client.nodes.list()] == ["ready"]
service.remove()
print("fine")
"#;
    assert_eq!(python(&cluster, script).ok(), "fine");
}

#[test]
fn skopeo_reads_and_writes_the_registry() {
    let cluster = Cluster::apart(1);
    let node = cluster.node(1);
    Images::busybox(node);
    Images::registry(node, 5000);
    let local = "localhost:5000/a/busybox:1";
    node.docker(&["tag", IMAGE, local]).ok();
    node.docker(&["push", local]).ok();
    let registry = format!("{}:5000", node.address);
    let source = format!("docker://{registry}/a/busybox:1");
    let skopeo = |args: &[&str]| Program::new("skopeo").args(args).run();
    let described = skopeo(&["inspect", "--tls-verify=false", &source]);
    assert!(described.ok().contains("\"Architecture\""), "{}", described.stdout);
    let copy = format!("docker://{registry}/b/copy:2");
    skopeo(&["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &source, &copy]).ok();
    let dir = format!("oci:{}:x", cluster.dir().join("oci").display());
    skopeo(&["copy", "--src-tls-verify=false", &copy, &dir]).ok();
    let third = format!("docker://{registry}/c/third:3");
    skopeo(&["copy", "--dest-tls-verify=false", &dir, &third]).ok();
    let tags =
        skopeo(&["list-tags", "--tls-verify=false", &format!("docker://{registry}/c/third")]);
    assert!(tags.ok().contains("\"3\""), "{}", tags.stdout);
    node.docker(&["rmi", local]).ok();
    node.docker(&["pull", "localhost:5000/c/third:3"]).ok();
    assert_eq!(
        node.docker(&["run", "--rm", "localhost:5000/c/third:3", "echo", "back"]).ok(),
        "back"
    );
    skopeo(&["delete", "--tls-verify=false", &third]).ok();
    node.docker(&["pull", "localhost:5000/c/third:3"]).fails_with("manifest unknown");
}

#[test]
fn save_and_load() {
    let cluster = Cluster::apart(2);
    Images::busybox(cluster.node(1));
    let file = cluster.dir().join("saved.tar");
    let file = file.to_string_lossy();
    cluster.docker(&["save", "-o", &file, IMAGE]).ok();
    let loaded = cluster.node(2).docker(&["load", "-i", &file]);
    assert!(loaded.ok().contains("Loaded image: busybox:test"), "{}", loaded.stdout);
    assert_eq!(cluster.node(2).docker(&["run", "--rm", IMAGE, "echo", "here"]).ok(), "here");
    // What others can read, too.
    let copy = format!("docker-archive:{file}:{IMAGE}");
    let dir = format!("dir:{}", cluster.dir().join("copied").display());
    Program::new("skopeo").args(["copy", &copy, &dir]).run().ok();
}

#[test]
fn the_shoal_command_line() {
    let cluster = Cluster::swarm(1);
    let node = cluster.node(1);
    Images::busybox(node);
    assert_eq!(node.shoal(&["run", "--rm", IMAGE, "echo", "hello"]).ok(), "hello");
    assert_eq!(node.shoal(&["run", "--rm", IMAGE, "sh", "-c", "exit 7"]).code, 7);
    assert!(node.shoal(&["images"]).ok().contains("busybox"));
    node.shoal(&[
        "service",
        "create",
        "--name",
        "s",
        "--replicas",
        "2",
        "--network",
        "host",
        IMAGE,
        "sleep",
        "100000",
    ])
    .ok();
    until("two running", || (node.shoal(&["service", "ls"]).ok().contains("2/2")).then_some(()));
    node.shoal(&["service", "scale", "s=0"]).ok();
    node.shoal(&["service", "rm", "s"]).ok();
    node.shoal(&["service", "inspect", "s"]).fails_with("service s not found");
    assert!(node.shoal(&["node", "ls"]).ok().contains("Leader"));
    for verb in ["run", "service create", "cluster", "build"] {
        let words: Vec<_> = verb.split(' ').chain(["--help"]).collect();
        assert!(node.shoal(&words).ok().contains("Usage:"), "{verb}");
    }
    node.shoal(&["nonsense"]).fails_with("nonsense");
}
