//! Docker's own engine with our program as its OCI runtime: what another engine
//! expects, it gets. In namespaces of its own; reported as skipped without Docker.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use shoal_sys::cgroup::{Cgroup, Layout};

/// Host network only: for the others this dockerd sets hooks, which we refuse.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs run /run; mount -t tmpfs lib /var/lib; mkdir -p /var/lib/docker /run/t/root/bin
dockerd --cgroup-parent "$GROUP" --add-runtime shoal="$SHIM" --default-runtime shoal \
  --iptables=false --ip6tables=false --bridge=none --exec-root /run/t/exec \
  --data-root /var/lib/docker -H unix:///run/t/sock -p /run/t/pid >/run/t/log 2>&1 &
engine=$!
trap 'kill $engine; wait $engine' EXIT
export DOCKER_HOST=unix:///run/t/sock
tries=0
until docker version >/dev/null 2>&1; do
  tries=$((tries + 1)); [ $tries -lt 600 ] || { cat /run/t/log; exit 1; }; sleep 0.1
done
cp /bin/busybox /run/t/root/bin/
for name in sh id sleep; do ln -s busybox /run/t/root/bin/$name; done
tar -C /run/t/root -c . | docker import - image >/dev/null
set +e
docker run --rm --network host image sh -c 'echo out; exit 3'; echo "code $?"
docker run --rm --network host image nonsense 2>&1 | grep -o 'executable file not found in $PATH'
docker run -d --name long --network host -m 64m --pids-limit 20 image sleep 1000 >/dev/null
docker exec -u 33:44 long id; docker exec long sh -c 'exit 4'; echo "code $?"
docker kill long >/dev/null; docker wait long; docker rm long
echo end
"#;

#[test]
fn dockerd_runs_containers_with_it() {
    let found = |name: &str| {
        ["/usr/bin", "/usr/sbin", "/usr/local/bin"]
            .iter()
            .any(|dir| Path::new(dir).join(name).exists())
    };
    if !found("dockerd") || !found("docker") {
        println!("SKIPPED: no dockerd on this machine");
        return;
    }
    let group = format!("/shoal-dockerd-test-{}", std::process::id());
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "sh", "-c", SCRIPT])
        .env("GROUP", &group)
        .env("SHIM", env!("CARGO_BIN_EXE_shoal-shim"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // What dockerd leaves of its parent group is empty.
    Cgroup::at(&Layout::detect().unwrap(), &group).unwrap().remove().unwrap();
    assert_eq!(
        text,
        "out\ncode 3\nexecutable file not found in $PATH\nuid=33 gid=44 groups=44\ncode 4\n137\n\
         long\nend\n",
        "{errors}"
    );
}
