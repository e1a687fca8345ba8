//! The crawler cluster, as its user types it, with the docker CLI.

use shoal_e2e::{Cluster, Images, Node, Output, Redis, until};

const PASSWORD: &str = "not-a-secret";

/// Running tasks of a service: (name, node).
fn running(node: &Node, service: &str) -> Vec<(String, String)> {
    let output = node.docker(&[
        "service",
        "ps",
        service,
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Name}} {{.Node}} {{.CurrentState}}",
    ]);
    output
        .ok()
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, node, state) = (words.next()?, words.next()?, words.next()?);
            (state == "Running").then(|| (name.to_owned(), node.to_owned()))
        })
        .collect()
}

fn until_running(node: &Node, service: &str, count: usize) -> Vec<(String, String)> {
    until(&format!("{count} running of {service}"), || {
        let tasks = running(node, service);
        (tasks.len() == count).then_some(tasks)
    })
}

fn join_command(output: &Output) -> Vec<String> {
    let line = output.ok().lines().find(|line| line.contains("docker swarm join --token"));
    let line = line.expect("init prints the join command").trim();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_crawler_cluster() {
    let mut cluster = Cluster::apart(3);
    cluster.expect_in_log("heartbeat");
    let manager = cluster.node(1).clone();

    let output = manager.docker(&["swarm", "init", "--advertise-addr", &manager.address]);
    let join = join_command(&output);
    let join: Vec<_> = join.iter().map(String::as_str).collect();
    for number in [2, 3] {
        let said = cluster.node(number).docker(&join);
        assert_eq!(said.ok(), "This node joined a swarm as a worker.");
    }
    let nodes =
        manager.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"]);
    assert_eq!(nodes.ok().lines().filter(|line| line.contains("Ready")).count(), 3);
    assert_eq!(nodes.ok().lines().filter(|line| line.contains("Leader")).count(), 1);

    Images::busybox(&manager);
    Images::redis(&manager);
    Images::registry(&manager, 8003);
    manager
        .docker(&[
            "run",
            "-d",
            "--name",
            "redis",
            "-p",
            "7891:6379",
            "redis",
            "--requirepass",
            PASSWORD,
        ])
        .ok();

    let context = Images::spider(cluster.dir());
    for version in ["0.01", "0.02"] {
        let tag = format!("localhost:8003/spider:{version}");
        let argument = format!("VERSION={version}");
        let base = format!("BASE={}", Images::BUSYBOX);
        let context = context.to_string_lossy();
        let built = manager.docker(&[
            "build",
            "-t",
            &tag,
            "--build-arg",
            &argument,
            "--build-arg",
            &base,
            &context,
        ]);
        assert!(built.ok().contains(&format!("Successfully tagged {tag}")), "{}", built.stdout);
        let pushed = manager.docker(&["push", &tag]);
        assert!(pushed.ok().contains("digest: sha256:"), "{}", pushed.stdout);
    }

    let image = format!("{}:8003/spider:0.01", manager.address);
    let host = format!("REDIS_HOST={}", manager.address);
    let password = format!("REDIS_PASSWORD={PASSWORD}");
    let create = |name: &str, replicas: &str| {
        manager
            .docker(&[
                "service",
                "create",
                "--name",
                name,
                "--replicas",
                replicas,
                "--network",
                "host",
                "--env",
                &host,
                "--env",
                "REDIS_PORT=7891",
                "--env",
                &password,
                "--env",
                "PAUSE=1",
                &image,
            ])
            .ok()
            .to_owned()
    };
    create("spider", "1");
    until_running(&manager, "spider", 1);
    manager
        .docker(&["service", "create", "--name", "spider", &image])
        .fails_with("name conflicts with an existing object");

    manager.docker(&["service", "scale", "spider=3"]).ok();
    let tasks = until_running(&manager, "spider", 3);
    let mut hosts: Vec<_> = tasks.iter().map(|(_, node)| node.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts.len(), 3, "one on each machine: {tasks:?}");

    let mut redis = Redis::connect(&manager.address, 7891, PASSWORD);
    redis.fill(1, 60);
    until("60 items done", || (redis.done().len() == 60).then_some(()));
    let mut done = redis.done();
    done.sort();
    done.dedup();
    assert_eq!(done.len(), 60, "each item once");

    let logs = manager.docker(&["service", "logs", "--tail", "20", "spider"]);
    assert!(logs.ok().contains("works on item-"), "{}", logs.stdout);
    assert!(logs.ok().contains(&format!("@{}", cluster.node(2).name)), "{}", logs.stdout);
    let task = manager.docker(&["service", "ps", "-q", "--no-trunc", "spider"]);
    let task = task.ok().lines().next().expect("a task").to_owned();
    let logs = manager.docker(&["service", "logs", "--tail", "1", &task]);
    assert_eq!(logs.ok().lines().count(), 1, "{}", logs.stdout);

    // A second service shares the cluster and is not touched.
    create("other", "2");
    let others = until_running(&manager, "other", 2);

    cluster.stop(3);
    let tasks = until("three on two machines", || {
        let tasks = running(&manager, "spider");
        let lost = tasks.iter().any(|(_, node)| *node == cluster.node(3).name);
        (tasks.len() == 3 && !lost).then_some(tasks)
    });
    assert_eq!(tasks.len(), 3);
    cluster.start(3);
    until("the node is back", || {
        let nodes = manager.docker(&["node", "ls", "--format", "{{.Status}}"]);
        (nodes.ok().lines().filter(|status| *status == "Ready").count() == 3).then_some(())
    });

    manager.docker(&["service", "scale", "spider=10"]).ok();
    until_running(&manager, "spider", 10);
    manager.docker(&["service", "scale", "spider=60"]).ok();
    until_running(&manager, "spider", 60);

    let image = format!("{}:8003/spider:0.02", manager.address);
    manager.docker(&["service", "scale", "spider=6"]).ok();
    manager
        .docker(&[
            "service",
            "update",
            "--update-parallelism",
            "2",
            "--update-monitor",
            "1ms",
            "--image",
            &image,
            "spider",
        ])
        .ok();
    let images = manager.docker(&[
        "service",
        "ps",
        "spider",
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Image}}",
    ]);
    assert!(images.ok().lines().all(|image| image.ends_with("spider:0.02")), "{}", images.stdout);
    let status = manager.docker_json(&["service", "inspect", "spider"]);
    assert_eq!(status[0]["UpdateStatus"]["State"], "completed");

    manager.docker(&["service", "scale", "spider=0"]).ok();
    until_running(&manager, "spider", 0);
    assert!(others.len() == 2 && running(&manager, "other").len() == 2);
    manager.docker(&["service", "rm", "spider", "other"]).ok();
    until("no container of a service is left", || {
        let left = cluster.nodes().iter().any(|node| {
            let tasks = node.docker(&["ps", "-aq", "--filter", "label=com.docker.swarm.task.id"]);
            !tasks.ok().is_empty()
        });
        (!left).then_some(())
    });
}

#[test]
fn a_drained_node_gives_its_tasks_away() {
    let cluster = Cluster::swarm(2);
    let manager = cluster.node(1);
    for node in cluster.nodes() {
        Images::busybox(node);
    }
    manager
        .docker(&[
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            "s",
            "--replicas",
            "4",
            "--network",
            "host",
            Images::BUSYBOX,
            "sleep",
            "100000",
        ])
        .ok();
    until_running(manager, "s", 4);
    let second = cluster.node(2).name.as_str();
    manager.docker(&["node", "update", "--availability", "drain", second]).ok();
    until("all on the first node", || {
        let tasks = running(manager, "s");
        (tasks.len() == 4 && tasks.iter().all(|(_, node)| node != second)).then_some(())
    });
    let listed = manager.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Availability}}"]);
    assert!(listed.ok().contains(&format!("{second} Drain")), "{}", listed.stdout);
    manager.docker(&["node", "rm", second]).fails_with("is not down");
    cluster.node(2).docker(&["swarm", "leave"]).ok();
    until("the node is down", || {
        let listed = manager.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
        listed.ok().contains(&format!("{second} Down")).then_some(())
    });
    manager.docker(&["node", "rm", second]).ok();
    let listed = manager.docker(&["node", "ls", "-q"]);
    assert_eq!(listed.ok().lines().count(), 1);
}
