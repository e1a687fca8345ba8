//! System packages: what a verb needs is installed when it is missing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::run;

/// A program or file that shows a package is there, and the package.
pub(crate) struct Package {
    name: &'static str,
    shown_by: &'static str,
}

const fn package(name: &'static str, shown_by: &'static str) -> Package {
    Package { name, shown_by }
}

const NFTABLES: Package = package("nftables", "/usr/sbin/nft");
const IPROUTE: Package = package("iproute2", "/usr/sbin/ip");
const BUSYBOX: Package = package("busybox-static", "/bin/busybox");
const REDIS: Package = package("redis-server", "/usr/bin/redis-server");
const SKOPEO: Package = package("skopeo", "/usr/bin/skopeo");
const DOCKERD: Package = package("docker.io", "/usr/sbin/dockerd");
const DOCKER_PY: Package =
    package("python3-docker", "/usr/lib/python3/dist-packages/docker/__init__.py");
/// dockerd's own firewall rules need it.
const IPTABLES: Package = package("iptables", "/usr/sbin/iptables");

/// libFuzzer is C++.
const CXX: Package = package("g++", "/usr/bin/g++");

/// For the demo.
pub(crate) const DEMO: &[Package] = &[NFTABLES, IPROUTE, BUSYBOX, REDIS];
/// For the tests.
pub(crate) const TEST: &[Package] =
    &[NFTABLES, IPROUTE, BUSYBOX, REDIS, SKOPEO, DOCKERD, DOCKER_PY, IPTABLES];
/// For the bench.
pub(crate) const BENCH: &[Package] = &[NFTABLES, IPROUTE, BUSYBOX, DOCKERD, IPTABLES];

/// For fuzzing.
pub(crate) const FUZZ: &[Package] = &[CXX];

/// Installs what is missing of `packages`.
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<_> =
        packages.iter().filter(|p| !Path::new(p.shown_by).exists()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "needed and not found: {}; install them with this system's packager",
            missing.join(", ")
        );
    }
    println!("installing system packages: {}", missing.join(", "));
    let _quiet = NoServices::new()?;
    // Without lists of packages an install finds nothing.
    run::command("apt-get").args(["update", "-qq"]).run()?;
    run::command("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// While this lives, installed packages do not start their services
/// (Debian's `policy-rc.d`): we want redis-server's file, not a server.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn new() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(POLICY).is_err() {
            // Left behind it would stop every later install from starting its service.
            let _ = Command::new("rm").args(["-f", POLICY]).status();
        }
    }
}
