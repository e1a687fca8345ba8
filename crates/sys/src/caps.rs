//! Capabilities as sets, and giving them up.

use std::io;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

/// By number (linux/capability.h), without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// The kernel's structures have room for this many.
const MOST: u32 = 64;
/// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
const VERSION_3: u32 = 0x2008_0522;

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// By name, with or without `CAP_`, in any case; `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == short)?;
        Some(Self(1 << number))
    }

    /// What the calling process may use at all.
    pub fn permitted() -> io::Result<Self> {
        let mut header = Header { version: VERSION_3, pid: 0 };
        let mut data = [Data::default(); 2];
        // SAFETY: header and two data words, as version 3 wants them, live until
        // the call returns.
        let result = unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(u64::from(data[1].permitted) << 32 | u64::from(data[0].permitted)))
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` are in.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names without `CAP_`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, n)| *n)
    }
}

impl FromIterator<Capabilities> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capabilities>>(sets: T) -> Self {
        sets.into_iter().fold(Self::NONE, Self::with)
    }
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Takes everything but `keep` out of the bounding set, for good.
pub fn limit_bounding(keep: Capabilities) -> io::Result<()> {
    for number in 0..MOST {
        if keep.0 >> number & 1 == 1 {
            continue;
        }
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } != 0 {
            let error = io::Error::last_os_error();
            // The kernel knows no capability of this number, nor of higher ones.
            return if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Sets the thread's three sets.
pub fn set(
    effective: Capabilities,
    permitted: Capabilities,
    inheritable: Capabilities,
) -> io::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let word = |shift: u32| Data {
        effective: (effective.0 >> shift) as u32,
        permitted: (permitted.0 >> shift) as u32,
        inheritable: (inheritable.0 >> shift) as u32,
    };
    let data = [word(0), word(32)];
    // SAFETY: header and two data words, as version 3 wants them, live until the
    // call returns.
    let result = unsafe { libc::syscall(libc::SYS_capset, &mut header, data.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `set` the ambient set; each must be permitted and inheritable.
pub fn set_ambient(set: Capabilities) -> io::Result<()> {
    let ambient = |operation: libc::c_int, number: u32| {
        // SAFETY: takes numbers only.
        match unsafe { libc::prctl(libc::PR_CAP_AMBIENT, operation, number, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    (0..MOST)
        .filter(|number| set.0 >> number & 1 == 1)
        .try_for_each(|number| ambient(libc::PR_CAP_AMBIENT_RAISE, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        let set: Capabilities = ["CAP_NET_RAW", "chown", "Cap_Bpf"]
            .iter()
            .filter_map(|n| Capabilities::named(n))
            .collect();
        assert_eq!(set.names().collect::<Vec<_>>(), ["CHOWN", "NET_RAW", "BPF"]);
        assert_eq!(Capabilities::named("CAP_NONSENSE"), None);
    }

    #[test]
    fn what_was_given_up_is_gone() {
        // Capabilities belong to the thread that gives them up.
        std::thread::spawn(|| {
            let keep = Capabilities::named("CHOWN").unwrap();
            limit_bounding(keep).unwrap();
            set(keep, keep, Capabilities::NONE).unwrap();
            assert_eq!(Capabilities::permitted().unwrap(), keep);
            assert!(set(keep, Capabilities(3), Capabilities::NONE).is_err());
        })
        .join()
        .unwrap();
    }
}
