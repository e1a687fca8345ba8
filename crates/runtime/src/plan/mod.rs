//! What a container is to be, checked: the OCI spec and the engine's additions in
//! our own words. Pure; whatever is asked for and not built is refused here by
//! name, so what comes later has nothing left to ignore.

use std::path::{Component, Path, PathBuf};

use shoal_sys::{
    mount::Propagation,
    overlay::{Overlay, Writable},
};

use crate::{
    bundle::{Bundle, RootFs, ShimConfig},
    protocol::{Failure, Reason},
    spec::{Linux, Present, Spec},
};

mod mounts;
mod process;
mod resources;

pub(crate) use mounts::{MountKind, MountOptions, MountPlan};
pub(crate) use process::{Confinement, ProcessPlan, Rlimit, UserChoice};
pub(crate) use resources::{CgroupPlan, DeviceNode, DeviceNodeKind};

/// A container to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namespaces: NamespacePlan,
    pub(crate) root: RootPlan,
    pub(crate) root_read_only: bool,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<DeviceNode>,
    pub(crate) masked_paths: Vec<PathBuf>,
    pub(crate) read_only_paths: Vec<PathBuf>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    /// Name with slashes instead of dots, value.
    pub(crate) sysctls: Vec<(PathBuf, String)>,
    pub(crate) process: ProcessPlan,
    pub(crate) cgroup: Option<CgroupPlan>,
}

/// Where the root file system comes from.
#[derive(Debug)]
pub(crate) enum RootPlan {
    Overlay(Overlay),
    Directory(PathBuf),
}

/// Where each namespace comes from.
#[derive(Debug)]
pub(crate) struct NamespacePlan {
    pub(crate) pid: Placement,
    pub(crate) network: Placement,
    pub(crate) uts: Placement,
    pub(crate) ipc: Placement,
    pub(crate) cgroup: Placement,
}

/// One namespace's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The shim's own.
    Host,
    /// A new one.
    New,
    /// The one this file is.
    Path(PathBuf),
    /// It came with the `Create` request.
    FromEngine,
}

impl Plan {
    /// Checks and converts. `bundle` is where relative paths begin.
    pub(crate) fn new(bundle: &Bundle, spec: &Spec, config: &ShimConfig) -> Result<Self, Failure> {
        refuse_unbuilt(spec)?;
        let linux = &spec.linux;
        let process = spec.process.as_ref().ok_or_else(|| invalid("process is missing"))?;
        let root = root(bundle, spec, config)?;
        let process = ProcessPlan::new(process, linux, config)?;
        let paths = |list: &[PathBuf]| -> Result<Vec<PathBuf>, Failure> {
            list.iter().map(|path| absolute(path)).collect()
        };
        let namespaces = NamespacePlan::new(linux, config)?;
        let sysctls = sysctls(linux, &namespaces)?;
        Ok(Self {
            namespaces,
            root,
            root_read_only: spec.root.as_ref().is_some_and(|root| root.readonly),
            mounts: spec
                .mounts
                .iter()
                .map(|mount| MountPlan::new(bundle, mount))
                .collect::<Result<_, _>>()?,
            devices: resources::device_nodes(linux)?,
            masked_paths: paths(&linux.masked_paths)?,
            read_only_paths: paths(&linux.readonly_paths)?,
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            sysctls,
            process,
            cgroup: CgroupPlan::new(linux)?,
        })
    }
}

impl NamespacePlan {
    fn new(linux: &Linux, config: &ShimConfig) -> Result<Self, Failure> {
        let mut plan = Self {
            pid: Placement::Host,
            network: Placement::Host,
            uts: Placement::Host,
            ipc: Placement::Host,
            cgroup: Placement::Host,
        };
        let mut mount = false;
        for namespace in &linux.namespaces {
            let placement = match &namespace.path {
                Some(path) if !path.as_os_str().is_empty() => Placement::Path(path.clone()),
                _ => Placement::New,
            };
            match namespace.r#type.as_str() {
                "pid" => plan.pid = placement,
                "network" => plan.network = placement,
                "uts" => plan.uts = placement,
                "ipc" => plan.ipc = placement,
                "cgroup" => plan.cgroup = placement,
                "mount" if placement == Placement::New => mount = true,
                "mount" => return Err(unbuilt("joining a mount namespace")),
                other => return Err(unbuilt(&format!("{other} namespaces"))),
            }
        }
        if !mount {
            return Err(unbuilt("a container without a mount namespace"));
        }
        if config.network_from_engine {
            plan.network = Placement::FromEngine;
        }
        Ok(plan)
    }
}

fn root(bundle: &Bundle, spec: &Spec, config: &ShimConfig) -> Result<RootPlan, Failure> {
    match &config.root {
        RootFs::Overlay { lower, .. } if lower.is_empty() => {
            Err(invalid("the root file system has no layers"))
        }
        RootFs::Overlay { lower, upper, work } => Ok(RootPlan::Overlay(Overlay {
            lower: lower.clone(),
            writable: Some(Writable { upper: upper.clone(), work: work.clone() }),
        })),
        RootFs::Spec => {
            let root = spec.root.as_ref().ok_or_else(|| invalid("root is missing"))?;
            Ok(RootPlan::Directory(bundle.dir().join(&root.path)))
        }
    }
}

fn sysctls(linux: &Linux, namespaces: &NamespacePlan) -> Result<Vec<(PathBuf, String)>, Failure> {
    let convert = |(name, value): (&String, &String)| {
        // `net.ipv4.conf.eth0/1.forwarding`: a slash stands for a dot in a name.
        let path: String = name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect();
        let path = PathBuf::from(path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(invalid(format!("sysctl {name:?} is not a name")));
        }
        match namespace_of(&path, namespaces) {
            None => Err(invalid(format!("sysctl {name:?} is not in a separate kernel namespace"))),
            Some(Placement::Host) => {
                Err(invalid(format!("sysctl {name:?} is not allowed in the host's namespace")))
            }
            Some(_) => Ok((path, value.clone())),
        }
    };
    linux.sysctl.iter().map(convert).collect()
}

/// Which namespace a kernel parameter belongs to; all others are the machine's, and
/// some of these (`kernel.core_pattern`) run programs on it.
fn namespace_of<'a>(sysctl: &Path, namespaces: &'a NamespacePlan) -> Option<&'a Placement> {
    const IPC: [&str; 8] = [
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shm_rmid_forced",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
    ];
    if sysctl.starts_with("net") {
        Some(&namespaces.network)
    } else if sysctl.starts_with("fs/mqueue") || IPC.iter().any(|name| sysctl == Path::new(name)) {
        Some(&namespaces.ipc)
    } else if sysctl == Path::new("kernel/domainname") {
        Some(&namespaces.uts)
    } else {
        None
    }
}

/// Parts of the spec we know and do not do.
fn refuse_unbuilt(spec: &Spec) -> Result<(), Failure> {
    let others = [spec.solaris, spec.windows, spec.vm, spec.zos];
    if others.into_iter().any(Present::says_something) {
        return Err(invalid("the bundle is for another operating system"));
    }
    let linux = &spec.linux;
    let unbuilt_parts = [
        (spec.hooks, "hooks"),
        (linux.uid_mappings, "user id mappings"),
        (linux.gid_mappings, "group id mappings"),
        (linux.mount_label, "mount labels"),
        (linux.intel_rdt, "Intel RDT"),
        (linux.memory_policy, "memory policies"),
        (linux.personality, "personalities"),
        (linux.time_offsets, "time offsets"),
        (linux.net_devices, "network devices"),
    ];
    match unbuilt_parts.into_iter().find(|(asked, _)| asked.says_something()) {
        Some((_, what)) => Err(unbuilt(what)),
        None => match linux.rootfs_propagation.as_deref() {
            None | Some("" | "private" | "rprivate" | "slave" | "rslave") => Ok(()),
            Some(other) => Err(unbuilt(&format!("root file system propagation {other:?}"))),
        },
    }
}

/// A path inside the container: absolute, without `.` and `..`.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir => {}
            Component::Prefix(_) => return Err(invalid(format!("{} is no path", path.display()))),
        }
    }
    Ok(clean)
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Reason::Invalid, message)
}

fn unbuilt(what: &str) -> Failure {
    Failure::new(Reason::NotImplemented, format!("{what}: not implemented"))
}

fn propagation_named(name: &str) -> Option<(Propagation, bool)> {
    Some(match name {
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
