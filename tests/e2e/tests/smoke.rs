//! One container through the real docker CLI.

use shoal_e2e::{Cluster, Images};

#[test]
fn a_container_runs_and_says_so() {
    let cluster = Cluster::apart(1);
    Images::busybox(cluster.node(1));
    let output = cluster.docker(&["run", "--rm", Images::BUSYBOX, "echo", "hello"]);
    assert_eq!(output.ok(), "hello");
    let output = cluster.docker(&["run", "--rm", Images::BUSYBOX, "sh", "-c", "exit 7"]);
    assert_eq!(output.code, 7);
}
