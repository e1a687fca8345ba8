//! Which capabilities a container gets.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capabilities, Capability};
use shoal_model::{Classify, Kind};

use crate::domain::HostConfig;

/// A capability nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability: \"{0}\"")]
pub(crate) struct CapabilityError(String);

impl Classify for CapabilityError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// What a container gets when nobody says otherwise; Docker's list.
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// All there are.
const ALL: [Capability; 41] = [
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// The capabilities a host configuration asks for: the default ones, without the
/// dropped, with the added; `ALL` in either list is every one, and what is named
/// beside it is an exception to the other list.
///
/// # Errors
/// A name nobody knows.
pub(crate) fn effective(host: &HostConfig) -> Result<Capabilities, CapabilityError> {
    let (add_all, add) = read(&host.cap_add)?;
    let (drop_all, drop) = read(&host.cap_drop)?;
    if host.privileged {
        return Ok(ALL.into_iter().collect());
    }
    let begin: BTreeSet<Name> = match (add_all, drop_all) {
        (true, _) => ALL.into_iter().map(Name).collect(),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.into_iter().map(Name).collect(),
    };
    let kept = begin.into_iter().filter(|name| !drop.contains(name));
    // With `ALL` added the drops win; otherwise what is added by name stays.
    let added = add.iter().copied().filter(|name| !add_all || !drop.contains(name));
    Ok(kept.chain(added).map(|Name(capability)| capability).collect())
}

/// Ordered by name, so that documents are the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name(Capability);

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0 as u32).cmp(&(other.0 as u32))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn read(texts: &[String]) -> Result<(bool, BTreeSet<Name>), CapabilityError> {
    let mut all = false;
    let mut names = BTreeSet::new();
    for text in texts {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare == "ALL" {
            all = true;
            continue;
        }
        let found = ALL.into_iter().find(|capability| capability.to_string() == bare);
        names.insert(Name(found.ok_or_else(|| CapabilityError(text.clone()))?));
    }
    Ok((all, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(add: &[&str], drop: &[&str]) -> Capabilities {
        let words = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let host =
            HostConfig { cap_add: words(add), cap_drop: words(drop), ..HostConfig::default() };
        effective(&host).unwrap()
    }

    #[test]
    fn added_and_dropped_by_any_spelling() {
        assert_eq!(capabilities(&[], &[]).len(), 14);
        assert!(capabilities(&["net_admin"], &[]).contains(&Capability::NetAdmin));
        assert!(!capabilities(&[], &["CAP_NET_RAW"]).contains(&Capability::NetRaw));
        assert_eq!(capabilities(&["ALL"], &[]).len(), ALL.len());
        assert_eq!(capabilities(&["ALL"], &["SYS_ADMIN"]).len(), ALL.len() - 1);
        assert_eq!(
            capabilities(&["CHOWN"], &["ALL"]),
            [Capability::Chown].into_iter().collect::<Capabilities>()
        );
    }

    #[test]
    fn an_unknown_name_is_told() {
        let host = HostConfig { cap_add: vec!["FLY".into()], ..HostConfig::default() };
        assert_eq!(effective(&host).unwrap_err().to_string(), "unknown capability: \"FLY\"");
    }
}
