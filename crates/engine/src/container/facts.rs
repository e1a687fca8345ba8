//! Finds out what the OCI document of a container depends on: its neighbours'
//! namespaces, the host's devices, its filter.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::Container;
use super::record::Record;
use super::{Containers, etc};
use crate::domain::{NetworkMode, PidMode, SeccompChoice, UtsMode};
use crate::error::ContainerError;
use crate::node::Node;
use crate::spec::{Facts, HostDevice, NetworkFact, effective_capabilities};

/// Below `/dev` what is no device of the machine but a container's own.
const OWN_DEVICES: [&str; 9] = [
    "/dev/pts",
    "/dev/shm",
    "/dev/mqueue",
    "/dev/fd",
    "/dev/.lxc",
    "/dev/.lxd-mounts",
    "/dev/.udev",
    "/dev/console",
    "/dev/ptmx",
];
/// Levels below `/dev` that are looked through for devices.
const DEVICE_DEPTH: u32 = 8;
/// Containers in a row that each are in the next one's network.
const NEIGHBOURS_MOST: usize = 16;

/// Namespaces of other containers a container joins, and its place in the networks.
#[derive(Debug, Clone)]
pub(super) struct Neighbours {
    network: NetworkFact,
    pid: Option<PathBuf>,
    /// Container whose `/etc` files and host name are used, too.
    names_of: Option<Arc<Container>>,
}

impl Containers {
    /// Looks up the other containers a container wants to share namespaces with.
    ///
    /// # Errors
    /// One of them is not there or does not run.
    pub(super) fn neighbours(&self, record: &Record) -> Result<Neighbours, ContainerError> {
        let mut found = Neighbours { network: NetworkFact::Given, pid: None, names_of: None };
        match &record.host.network_mode {
            NetworkMode::Host => found.network = NetworkFact::Host,
            NetworkMode::Container(name) => {
                let (other, pid) = self.running(name, "network")?;
                found.network = NetworkFact::Path(namespace(pid, "net"));
                found.names_of = Some(self.owner_of_names(other));
            }
            _ => {}
        }
        if let PidMode::Container(name) = &record.host.pid_mode {
            let (_, pid) = self.running(name, "PID")?;
            found.pid = Some(namespace(pid, "pid"));
        }
        Ok(found)
    }

    fn running(&self, name: &str, what: &str) -> Result<(Arc<Container>, u32), ContainerError> {
        let container = self.table.find(name)?;
        let (phase, pid) = {
            let state = container.state.borrow();
            (state.phase, state.pid)
        };
        if !phase.has_process() {
            return Err(ContainerError::Conflict(format!(
                "cannot join {what} namespace of a non running container: {}",
                container.id
            )));
        }
        Ok((container, pid))
    }

    /// The container whose files a neighbour uses: its own, or in turn its neighbour's.
    fn owner_of_names(&self, neighbour: Arc<Container>) -> Arc<Container> {
        let mut owner = neighbour;
        for _ in 0..NEIGHBOURS_MOST {
            let NetworkMode::Container(name) = &owner.record().host.network_mode else { break };
            let Ok(next) = self.table.find(name) else { break };
            owner = next;
        }
        owner
    }

    /// A container in another's network has its host name, too. It is known at the start only:
    /// the other may have been made later, or again.
    pub(super) async fn share_names(
        &self,
        container: &Container,
        record: Arc<Record>,
        neighbours: &Neighbours,
    ) -> Result<Arc<Record>, ContainerError> {
        let Some(owner) = &neighbours.names_of else { return Ok(record) };
        let theirs = &owner.record().config;
        let same = record.config.hostname == theirs.hostname
            && record.config.domainname == theirs.domainname;
        if same || record.host.uts_mode == UtsMode::Host {
            return Ok(record);
        }
        let mut changed = (*record).clone();
        changed.config.hostname.clone_from(&theirs.hostname);
        changed.config.domainname.clone_from(&theirs.domainname);
        self.save_record(container, changed).await?;
        Ok(container.record())
    }
}

/// The facts for one start. Blocks.
pub(super) fn find(
    node: &Node,
    record: &Record,
    neighbours: Neighbours,
) -> Result<Facts, ContainerError> {
    let dir = node.paths.dir(neighbours.names_of.as_ref().map_or(&record.id, |owner| &owner.id));
    Ok(Facts {
        cgroup: node.cgroups.path(&record.id, record.host.resources.cgroup_parent.as_deref()),
        cgroup_v2: node.cgroups.is_v2(),
        network: neighbours.network,
        pid_namespace: neighbours.pid,
        etc: Some(etc::files(&dir)),
        devices: devices(record)?,
        seccomp: filter(node, record)?,
        log: node.paths.log(&record.id),
        common_layer: node.paths.common_layer().into(),
        open_files: node.open_files,
    })
}

fn namespace(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/{name}"))
}

fn filter(node: &Node, record: &Record) -> Result<Option<PathBuf>, ContainerError> {
    let profile = match &record.host.seccomp {
        SeccompChoice::Unconfined => return Ok(None),
        SeccompChoice::Default if record.host.privileged => return Ok(None),
        SeccompChoice::Default => None,
        SeccompChoice::Profile(json) => Some(json.as_str()),
    };
    let capabilities = effective_capabilities(&record.host)
        .map_err(|error| ContainerError::Invalid(error.to_string()))?;
    let mut names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    node.filters.file_for(profile, &names).map(Some)
}

fn devices(record: &Record) -> Result<Vec<HostDevice>, ContainerError> {
    let mut found = Vec::new();
    if record.host.privileged {
        let all = collect(Path::new("/dev"), Path::new("/dev"), "rwm", DEVICE_DEPTH, &mut found);
        all.map_err(ContainerError::io("cannot list the devices of the machine"))?;
    }
    for mapping in &record.host.resources.devices {
        let (host, inside) = (&mapping.path_on_host, &mapping.path_in_container);
        let collected = collect(host, inside, &mapping.permissions, DEVICE_DEPTH, &mut found);
        collected.map_err(|error| no_device(host, &error))?;
    }
    Ok(found)
}

/// A device that was asked for by name and cannot be had is the asker's mistake.
fn no_device(path: &Path, error: &io::Error) -> ContainerError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    };
    ContainerError::Invalid(format!(
        "error gathering device information while adding custom device \"{}\": {why}",
        path.display()
    ))
}

/// The device at `path`, or those in the directory there.
fn collect(
    path: &Path,
    inside: &Path,
    access: &str,
    depth: u32,
    found: &mut Vec<HostDevice>,
) -> io::Result<()> {
    // Of the list of a privileged container, links and own devices are left out;
    // a device that was asked for by a link is meant.
    let top = depth == DEVICE_DEPTH;
    let metadata = match if top { fs::metadata(path) } else { fs::symlink_metadata(path) } {
        Err(error) if !top && is_gone(&error) => return Ok(()),
        other => other?,
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        if depth == 0 {
            return Ok(());
        }
        let entries = match fs::read_dir(path) {
            Err(error) if !top && is_gone(&error) => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            if OWN_DEVICES.iter().any(|own| Path::new(own) == entry.path()) {
                continue;
            }
            collect(&entry.path(), &inside.join(entry.file_name()), access, depth - 1, found)?;
        }
        return Ok(());
    }
    if !kind.is_block_device() && !kind.is_char_device() {
        return if top { Err(io::Error::other("not a device node")) } else { Ok(()) };
    }
    let number = metadata.rdev();
    found.push(HostDevice {
        path: inside.into(),
        block: kind.is_block_device(),
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        access: access.into(),
    });
    Ok(())
}

/// Whether a device went away since it was listed: others come and go all the time.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use shoal_model::{Classify, Kind};

    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_the_askers_mistake() {
        let (path, mut found) = (Path::new("/dev/no-such-device"), Vec::new());
        let error = collect(path, path, "rwm", DEVICE_DEPTH, &mut found).unwrap_err();
        // Listed a moment ago.
        collect(path, path, "rwm", DEVICE_DEPTH - 1, &mut found).unwrap();
        let error = no_device(path, &error);
        assert_eq!(
            error.to_string(),
            "error gathering device information while adding custom device \
             \"/dev/no-such-device\": no such file or directory"
        );
        assert_eq!(error.kind(), Kind::Invalid);
    }

    #[test]
    fn a_device_is_found_and_a_file_is_not_one() {
        let mut found = Vec::new();
        let null = Path::new("/dev/null");
        collect(null, Path::new("/dev/mine"), "rw", DEVICE_DEPTH, &mut found).unwrap();
        let device = &found[0];
        assert_eq!((device.major, device.minor, device.block), (1, 3, false));
        assert_eq!((device.path.as_path(), device.access.as_str()), (Path::new("/dev/mine"), "rw"));
        assert!(collect(Path::new("/etc/passwd"), null, "r", DEVICE_DEPTH, &mut found).is_err());
        assert!(collect(Path::new("/dev/none"), null, "r", DEVICE_DEPTH, &mut found).is_err());
    }
}
