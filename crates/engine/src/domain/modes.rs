//! Which namespaces a container shares, and with whom.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind};

/// A namespace mode that cannot be understood or is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Not a mode of this namespace.
    #[error("invalid {namespace} mode: {given}")]
    Invalid {
        /// The option's name, as Docker spells it (`PID`, `IPC`, …).
        namespace: &'static str,
        /// What the caller gave.
        given: String,
    },
    /// A mode Docker knows and this engine does not.
    #[error("{namespace} mode {given} is not supported yet")]
    Unsupported {
        /// The option's name.
        namespace: &'static str,
        /// What the caller gave.
        given: String,
    },
}

impl Classify for ModeError {
    fn kind(&self) -> Kind {
        match self {
            ModeError::Invalid { .. } => Kind::Invalid,
            ModeError::Unsupported { .. } => Kind::NotImplemented,
        }
    }
}

/// Which network a container is on first (`--network`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// The default bridge.
    #[default]
    Bridge,
    /// The node's own network.
    Host,
    /// Loopback only.
    None,
    /// A network by name or id.
    Network(String),
    /// The network namespace of another container, by name or id.
    Container(String),
}

impl FromStr for NetworkMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        Ok(match text {
            "" | "default" | "bridge" => NetworkMode::Bridge,
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            other => match other.strip_prefix("container:") {
                Some("") => {
                    return Err(ModeError::Invalid { namespace: "network", given: text.into() });
                }
                Some(name) => NetworkMode::Container(name.into()),
                None => NetworkMode::Network(other.into()),
            },
        })
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkMode::Bridge => f.write_str("bridge"),
            NetworkMode::Host => f.write_str("host"),
            NetworkMode::None => f.write_str("none"),
            NetworkMode::Network(name) => f.write_str(name),
            NetworkMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

/// Which processes a container sees (`--pid`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    /// Its own only.
    #[default]
    Private,
    /// All of the node.
    Host,
    /// Those of another container, by name or id.
    Container(String),
}

impl FromStr for PidMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "" | "private" => Ok(PidMode::Private),
            "host" => Ok(PidMode::Host),
            other => match other.strip_prefix("container:") {
                Some(name) if !name.is_empty() => Ok(PidMode::Container(name.into())),
                _ => Err(ModeError::Invalid { namespace: "PID", given: text.into() }),
            },
        }
    }
}

impl fmt::Display for PidMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PidMode::Private => Ok(()),
            PidMode::Host => f.write_str("host"),
            PidMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

/// Which System V and POSIX shared memory a container sees (`--ipc`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcMode {
    /// Its own, with its own `/dev/shm`.
    #[default]
    Private,
    /// Its own without a `/dev/shm`.
    None,
    /// The node's.
    Host,
    /// That of another container, by name or id.
    Container(String),
    /// Its own, and others may join it.
    Shareable,
}

impl FromStr for IpcMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "" | "private" => Ok(IpcMode::Private),
            "none" => Ok(IpcMode::None),
            "host" => Ok(IpcMode::Host),
            "shareable" => Ok(IpcMode::Shareable),
            other => match other.strip_prefix("container:") {
                Some(name) if !name.is_empty() => Ok(IpcMode::Container(name.into())),
                _ => Err(ModeError::Invalid { namespace: "IPC", given: text.into() }),
            },
        }
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpcMode::Private => f.write_str("private"),
            IpcMode::None => f.write_str("none"),
            IpcMode::Host => f.write_str("host"),
            IpcMode::Shareable => f.write_str("shareable"),
            IpcMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

/// Whose host name a container has (`--uts`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UtsMode {
    /// Its own.
    #[default]
    Private,
    /// The node's.
    Host,
}

impl FromStr for UtsMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "" | "private" => Ok(UtsMode::Private),
            "host" => Ok(UtsMode::Host),
            _ => Err(ModeError::Invalid { namespace: "UTS", given: text.into() }),
        }
    }
}

impl fmt::Display for UtsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UtsMode::Private => Ok(()),
            UtsMode::Host => f.write_str("host"),
        }
    }
}

/// Whether a container sees its own cgroup as the root (`--cgroupns`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupnsMode {
    /// Private on cgroup v2, the host's on v1, as Docker does.
    #[default]
    Default,
    /// Its own.
    Private,
    /// The node's.
    Host,
}

impl CgroupnsMode {
    /// Whether that means its own, on a node with this version of cgroups. On version 2 it does
    /// for a privileged container, too: it manages groups.
    pub(crate) fn is_private(self, cgroup_v2: bool) -> bool {
        match self {
            Self::Default => cgroup_v2,
            Self::Private => true,
            Self::Host => false,
        }
    }
}

impl FromStr for CgroupnsMode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "" => Ok(CgroupnsMode::Default),
            "private" => Ok(CgroupnsMode::Private),
            "host" => Ok(CgroupnsMode::Host),
            _ => Err(ModeError::Invalid { namespace: "cgroup namespace", given: text.into() }),
        }
    }
}

impl fmt::Display for CgroupnsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CgroupnsMode::Default => "",
            CgroupnsMode::Private => "private",
            CgroupnsMode::Host => "host",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_what_they_write() {
        for text in ["bridge", "host", "none", "backend", "container:web"] {
            assert_eq!(text.parse::<NetworkMode>().unwrap().to_string(), text);
        }
        for text in ["", "host", "container:web"] {
            assert_eq!(text.parse::<PidMode>().unwrap().to_string(), text);
        }
        for text in ["private", "none", "host", "shareable", "container:web"] {
            assert_eq!(text.parse::<IpcMode>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_mode_nobody_knows_is_named() {
        let error = "dragon".parse::<PidMode>().unwrap_err();
        assert_eq!(error.to_string(), "invalid PID mode: dragon");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!("container:".parse::<NetworkMode>().is_err());
    }
}
