//! Which mounts a container gets: what was asked for, and a volume for each path the
//! image or the caller wants one at. Pure.

use std::collections::BTreeSet;

use crate::domain::{ContainerConfig, HostConfig, Mount, MountError, MountKind};

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
    for mount in &host.mounts {
        check_kind(mount)?;
        if !taken.insert(mount.destination.clone()) {
            return Err(MountError::Duplicate(mount.destination.clone()));
        }
        planned.push(Planned { mount: mount.clone(), from_mounts: !is_short_form(mount, host) });
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
        _ => Ok(()),
    }
}

/// Whether `-v` asked for it: then the text is among the binds.
fn is_short_form(mount: &Mount, host: &HostConfig) -> bool {
    host.binds.iter().any(|text| Mount::parse_bind(text).as_ref() == Ok(mount))
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
            mounts: vec![Mount::parse_bind("mine:/data").unwrap()],
            binds: vec!["mine:/data".into()],
            ..HostConfig::default()
        };
        let planned = plan(&config, &host).unwrap();
        let paths: Vec<_> = planned.iter().map(|one| one.mount.destination.as_str()).collect();
        assert_eq!(paths, ["/cache", "/data"]);
        assert!(matches!(&planned[0].mount.kind, MountKind::Volume { name: None, .. }));
        assert!(matches!(&planned[1].mount.kind, MountKind::Volume { name: Some(_), .. }));
        assert!(!planned[1].from_mounts);
    }

    #[test]
    fn two_mounts_on_one_path_are_refused() {
        let mount = |text: &str| Mount::parse_bind(text).unwrap();
        let host =
            HostConfig { mounts: vec![mount("a:/x"), mount("/b:/x/")], ..HostConfig::default() };
        let error = plan(&ContainerConfig::default(), &host).unwrap_err();
        assert_eq!(error.to_string(), "Duplicate mount point: /x");
    }
}
