//! Which mounts a container gets: what was asked for, and a volume for each path the
//! image or the caller wants one at. Pure.

use std::collections::BTreeSet;

use crate::domain::{ContainerConfig, HostConfig, Mount, MountError, MountKind, Propagation};

/// A mount that was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// The mount; a volume may have no name yet.
    pub(crate) mount: Mount,
    /// Whether it was asked for by `--mount`, not `-v`.
    pub(crate) from_mounts: bool,
}

/// The mounts of a container, by destination.
///
/// # Errors
/// Two mounts of the caller on one path; a destination that cannot be.
pub(crate) fn plan(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<Planned>, MountError> {
    let mut taken = BTreeSet::new();
    let mut planned = Vec::new();
    for asked in asked(host)? {
        check_kind(&asked.mount)?;
        if !taken.insert(asked.mount.destination.clone()) {
            return Err(MountError::Duplicate(asked.mount.destination));
        }
        planned.push(asked);
    }
    for path in &config.volumes {
        let mount = Mount::anonymous(path)?;
        if taken.insert(mount.destination.clone()) {
            planned.push(Planned { mount, from_mounts: false });
        }
    }
    planned.sort_by(|a, b| a.mount.destination.cmp(&b.mount.destination));
    Ok(planned)
}

fn check_kind(mount: &Mount) -> Result<(), MountError> {
    crate::domain::check_destination(&mount.destination)?;
    match &mount.kind {
        MountKind::Bind { source, .. } if !source.starts_with('/') => Err(MountError::Config {
            kind: "bind",
            why: format!("invalid mount path: '{source}' mount path must be absolute"),
        }),
        MountKind::Bind {
            propagation: word @ (Propagation::Rshared | Propagation::Shared),
            ..
        } => Err(MountError::Unsupported(format!("bind-propagation={}", word.as_str()))),
        _ => Ok(()),
    }
}

/// What the caller asks for: with `-v`, with `--mount` and with `--tmpfs`.
fn asked(host: &HostConfig) -> Result<Vec<Planned>, MountError> {
    let mut asked = Vec::with_capacity(host.binds.len() + host.mounts.len() + host.tmpfs.len());
    for text in &host.binds {
        asked.push(Planned { mount: Mount::parse_bind(text)?, from_mounts: false });
    }
    let long = |mount: &Mount| Planned { mount: mount.clone(), from_mounts: true };
    asked.extend(host.mounts.iter().map(long));
    for (path, options) in &host.tmpfs {
        asked.push(Planned { mount: Mount::parse_tmpfs(path, options)?, from_mounts: false });
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_of_the_caller_hides_the_images_volume() {
        let config = ContainerConfig {
            volumes: ["/data".to_owned(), "/cache/".to_owned()].into(),
            ..ContainerConfig::default()
        };
        let host = HostConfig {
            binds: vec!["mine:/data".into()],
            mounts: vec![Mount::anonymous("/long").unwrap()],
            tmpfs: [("/fast".to_owned(), "size=2m".to_owned())].into(),
            ..HostConfig::default()
        };
        let planned = plan(&config, &host).unwrap();
        let paths: Vec<_> = planned.iter().map(|one| one.mount.destination.as_str()).collect();
        assert_eq!(paths, ["/cache", "/data", "/fast", "/long"]);
        let long: Vec<_> = planned.iter().map(|one| one.from_mounts).collect();
        assert_eq!(long, [false, false, false, true]);
        assert!(matches!(&planned[0].mount.kind, MountKind::Volume { name: None, .. }));
        assert!(matches!(&planned[1].mount.kind, MountKind::Volume { name: Some(_), .. }));
    }

    #[test]
    fn a_path_alone_is_an_anonymous_volume() {
        let host = HostConfig { binds: vec!["/data".into()], ..HostConfig::default() };
        let planned = plan(&ContainerConfig::default(), &host).unwrap();
        assert_eq!(planned[0].mount, Mount::anonymous("/data").unwrap());
    }

    #[test]
    fn what_no_start_could_do_is_refused() {
        let host = HostConfig { binds: vec!["/a:/b:rshared".into()], ..HostConfig::default() };
        let error = plan(&ContainerConfig::default(), &host).unwrap_err();
        assert_eq!(error.to_string(), "mount option bind-propagation=rshared is not supported yet");
    }

    #[test]
    fn two_mounts_on_one_path_are_refused() {
        let host =
            HostConfig { binds: vec!["a:/x".into(), "/b:/x/".into()], ..HostConfig::default() };
        let error = plan(&ContainerConfig::default(), &host).unwrap_err();
        assert_eq!(error.to_string(), "Duplicate mount point: /x");
    }
}
