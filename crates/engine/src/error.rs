//! What can go wrong, by family of operation, in Docker's words where users see them.

use std::io;

use shoal_model::{Classify, ContainerId, Kind};
use shoal_network::NetworkError;

use crate::domain::{ModeError, MountError, PortError};
use crate::shim::ShimError;

/// A verb on a container that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No container has this name or id.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("Multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    /// The name belongs to another container.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name, without the slash.
        name: String,
        /// Id of the container that has it.
        holder: String,
    },
    /// The name breaks the rule for names.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    BadName(String),
    /// No such image on this node.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// The configuration makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The configuration asks for something this engine does not have.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// The container's log driver keeps nothing that could be read.
    #[error("configured logging driver does not support reading")]
    NoLogs,
    /// The verb cannot be done in the container's present state.
    #[error("{0}")]
    Conflict(String),
    /// It already is as asked.
    #[error("{0}")]
    NotModified(String),
    /// The runtime could not make or start the process.
    #[error("{message}")]
    Runtime {
        /// The code the container shows: 126, 127 or 128.
        exit_code: i64,
        /// What the runtime says, in Docker's frame.
        message: String,
        /// Its kind.
        kind: Kind,
    },
    /// A mount that cannot be used.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A port that cannot be used.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A namespace mode that cannot be used.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A volume that cannot be used.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The network said no.
    #[error("{message}")]
    Network {
        /// Its words.
        message: String,
        /// Its kind.
        kind: Kind,
    },
    /// The image store said no.
    #[error("{message}")]
    Image {
        /// Its words.
        message: String,
        /// Its kind.
        kind: Kind,
    },
    /// The container's shim does not answer as it should.
    #[error("shim of container {container}: {message}")]
    Shim {
        /// Its id.
        container: String,
        /// What happened.
        message: String,
    },
    /// The operating system said no.
    #[error("{what}")]
    Io {
        /// What was being done, with the object's name.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The engine is going down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl From<NetworkError> for ContainerError {
    fn from(error: NetworkError) -> Self {
        ContainerError::Network { message: error.chain(), kind: error.kind() }
    }
}

impl From<shoal_image::Error> for ContainerError {
    fn from(error: shoal_image::Error) -> Self {
        match error {
            shoal_image::Error::NoSuchImage(name) => ContainerError::NoSuchImage(name),
            other => ContainerError::Image { message: other.chain(), kind: other.kind() },
        }
    }
}

impl ContainerError {
    /// What a shim said about a container that was to be started.
    pub(crate) fn shim(container: &ContainerId, error: ShimError) -> Self {
        match error {
            ShimError::Failed(failure) => ContainerError::Runtime {
                exit_code: failure.exit_code().into(),
                message: failure.create_text(),
                kind: failure.kind(),
            },
            other => {
                ContainerError::Shim { container: container.to_string(), message: other.chain() }
            }
        }
    }

    /// An [`io::Error`] with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| ContainerError::Io { what, source }
    }
}

impl Classify for ContainerError {
    fn kind(&self) -> Kind {
        match self {
            ContainerError::NotFound(_) | ContainerError::NoSuchImage(_) => Kind::NotFound,
            ContainerError::Ambiguous(_)
            | ContainerError::BadName(_)
            | ContainerError::Invalid(_) => Kind::Invalid,
            ContainerError::NameTaken { .. } | ContainerError::Conflict(_) => Kind::Conflict,
            ContainerError::Unsupported(_) | ContainerError::NoLogs => Kind::NotImplemented,
            ContainerError::NotModified(_) => Kind::NotModified,
            ContainerError::Shim { .. } | ContainerError::Io { .. } => Kind::Internal,
            ContainerError::Runtime { kind, .. } => *kind,
            ContainerError::Mount(error) => error.kind(),
            ContainerError::Port(error) => error.kind(),
            ContainerError::Mode(error) => error.kind(),
            ContainerError::Volume(error) => error.kind(),
            ContainerError::Network { kind, .. } | ContainerError::Image { kind, .. } => *kind,
            ContainerError::ShuttingDown => Kind::Unavailable,
        }
    }
}

/// A verb on an exec that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No exec has this id.
    #[error("No such exec instance: {0}")]
    NotFound(String),
    /// It was made wrongly.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done in its present state.
    #[error("{0}")]
    Conflict(String),
    /// The program could not be run.
    #[error("{message}")]
    Runtime {
        /// The code the exec shows: 126 or 127.
        exit_code: i64,
        /// What the runtime says, in Docker's frame.
        message: String,
        /// Its kind.
        kind: Kind,
    },
    /// Its container cannot.
    #[error(transparent)]
    Container(#[from] ContainerError),
}

impl Classify for ExecError {
    fn kind(&self) -> Kind {
        match self {
            ExecError::NotFound(_) => Kind::NotFound,
            ExecError::Invalid(_) => Kind::Invalid,
            ExecError::Conflict(_) => Kind::Conflict,
            ExecError::Runtime { kind, .. } => *kind,
            ExecError::Container(error) => error.kind(),
        }
    }
}

/// A verb on a volume that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// No volume has this name.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// The name breaks the rule for names.
    #[error(
        "create {0}: \"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    BadName(String),
    /// There is no such volume driver.
    #[error("volume driver {0:?} is not supported yet; only \"local\" is")]
    Driver(String),
    /// The driver does not have this option.
    #[error("option {0:?} of volume driver \"local\" is not supported yet")]
    Option(String),
    /// A volume of this name exists and is not the one asked for.
    #[error("volume name \"{0}\" already exists with other options")]
    Exists(String),
    /// Containers use it.
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse {
        /// Its name.
        name: String,
        /// Ids of the containers that use it.
        users: Vec<String>,
    },
    /// The operating system said no.
    #[error("{what}")]
    Io {
        /// What was being done, with the volume's name.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl VolumeError {
    /// An [`io::Error`] with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| VolumeError::Io { what, source }
    }
}

impl Classify for VolumeError {
    fn kind(&self) -> Kind {
        match self {
            VolumeError::NotFound(_) => Kind::NotFound,
            VolumeError::BadName(_) => Kind::Invalid,
            VolumeError::Driver(_) | VolumeError::Option(_) => Kind::NotImplemented,
            VolumeError::Exists(_) | VolumeError::InUse { .. } => Kind::Conflict,
            VolumeError::Io { .. } => Kind::Internal,
        }
    }
}

/// The engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system said no.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The networks could not be put in place.
    #[error("{message}")]
    Network {
        /// Their words.
        message: String,
    },
}

impl Classify for OpenError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}
