//! What can go wrong when a node is asked for something. Texts that Docker users see are Docker's.

use shoal_model::{Classify, Kind};

use crate::pki::PkiError;
use crate::raft::RaftError;

/// The longest text of a peer's refusal that is passed on to a user.
const MAX_PEER_TEXT: usize = 512;

/// A refusal or failure of a node operation.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A cluster command was given to a node that is in no swarm.
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
         connect this node to swarm and try again."
    )]
    NotInSwarm,
    /// A cluster command was given to a worker.
    #[error(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster \
         state. Please run this command on a manager node or promote the current node to a manager."
    )]
    NotManager,
    /// The manager is starting or has no leader yet.
    #[error(
        "The swarm does not have a leader. It's possible that too few managers are online. Make \
         sure more than half of the managers are online."
    )]
    NoLeader,
    /// `init` or `join` on a node that is in a swarm.
    #[error(
        "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and \
         join another one."
    )]
    AlreadyInSwarm,
    /// `leave` on a node that is in no swarm.
    #[error("This node is not part of a swarm")]
    NothingToLeave,
    /// `leave` without force on the last manager.
    #[error(
        "You are attempting to leave the swarm on a node that is participating as a manager. \
         Removing the last manager erases all current state of the swarm. Use `--force` to ignore \
         this message. "
    )]
    LastManager,
    /// No address could be chosen to tell the others.
    #[error(
        "could not choose an IP address to advertise since this system has multiple addresses on \
         different interfaces ({0}) - specify one with --advertise-addr"
    )]
    ManyAddresses(String),
    /// There is no address at all to tell the others.
    #[error("could not find the system's IP address - specify one with --advertise-addr")]
    NoAddress,
    /// An address the user gave cannot be used.
    #[error("{what} {text:?} is not a valid address: {why}")]
    Address {
        /// Which address: `advertise address`, `listen address`, `remote address`.
        what: &'static str,
        /// As given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The cluster port cannot be opened.
    #[error("listen tcp {addr}: bind")]
    Listen {
        /// Address and port.
        addr: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The join token is not one.
    #[error("invalid join token")]
    Token,
    /// The manager's root certificate is not the one the token was made for.
    #[error(
        "error while validating Root CA Certificate: remote CA does not match fingerprint. Expected: {expected}"
    )]
    ForeignRoot {
        /// The digest in the token, hexadecimal.
        expected: String,
    },
    /// A peer refused; its words.
    #[error("rpc error: code = {code} desc = {text}")]
    Refused {
        /// gRPC's name of the code.
        code: &'static str,
        /// The peer's message.
        text: String,
        /// What sort of refusal it is.
        kind: Kind,
    },
    /// No manager could be reached.
    #[error("could not reach a manager at {addrs}: {why}")]
    Unreachable {
        /// The addresses tried.
        addrs: String,
        /// The last reason.
        why: String,
    },
    /// The join goes on in the background.
    #[error(
        "Timeout was reached before node joined. The attempt to join the swarm will continue in \
         the background. Use the \"docker info\" command to see the current swarm status of your node."
    )]
    JoinTimeout,
    /// Not everything that was asked for could be read.
    #[error(
        "warning: incomplete log stream. some logs could not be retrieved for the following \
         reasons: {0}"
    )]
    LogGaps(String),
    /// Too much is going on already.
    #[error("too many {0} at once")]
    Busy(&'static str),
    /// Not built yet.
    #[error("{0} is not supported by this version")]
    NotImplemented(String),
    /// The request contradicts itself or the cluster's rules.
    #[error("{0}")]
    Invalid(String),
    /// The named object does not exist; the words are Docker's.
    #[error("{0}")]
    NotFound(String),
    /// A command was refused by the cluster's rules; shown as Docker shows it.
    #[error("{}", .0.docker_text())]
    Command(shoal_cluster::CommandError),
    /// Keys or certificates.
    #[error("certificates")]
    Pki(#[from] PkiError),
    /// The consensus between managers failed.
    #[error("cluster state")]
    Raft(#[from] RaftError),
    /// Files of the node's state.
    #[error("{what} {}", .path.display())]
    File {
        /// What was tried, as "write".
        what: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The node is shutting down.
    #[error("node is shutting down")]
    Stopping,
}

impl NodeError {
    /// A peer's refusal in the words Docker would show.
    pub(crate) fn refused(status: &tonic::Status) -> Self {
        let text: String = status.message().chars().take(MAX_PEER_TEXT).collect();
        let (code, kind) = match status.code() {
            tonic::Code::InvalidArgument => ("InvalidArgument", Kind::Invalid),
            tonic::Code::NotFound => ("NotFound", Kind::NotFound),
            tonic::Code::PermissionDenied => ("PermissionDenied", Kind::Forbidden),
            tonic::Code::Unauthenticated => ("Unauthenticated", Kind::Unauthorized),
            tonic::Code::Unimplemented => ("Unimplemented", Kind::NotImplemented),
            tonic::Code::FailedPrecondition => ("FailedPrecondition", Kind::Conflict),
            tonic::Code::ResourceExhausted => ("ResourceExhausted", Kind::Unavailable),
            tonic::Code::DeadlineExceeded => ("DeadlineExceeded", Kind::Unavailable),
            tonic::Code::Aborted => ("Aborted", Kind::Unavailable),
            tonic::Code::Unavailable => ("Unavailable", Kind::Unavailable),
            _ => ("Unknown", Kind::Internal),
        };
        Self::Refused { code, text, kind }
    }
}

impl From<shoal_cluster::CommandError> for NodeError {
    fn from(error: shoal_cluster::CommandError) -> Self {
        Self::Command(error)
    }
}

impl Classify for NodeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotInSwarm
            | Self::NotManager
            | Self::NoLeader
            | Self::AlreadyInSwarm
            | Self::NothingToLeave
            | Self::LastManager
            | Self::JoinTimeout
            | Self::LogGaps(_)
            | Self::Busy(_)
            | Self::Unreachable { .. }
            | Self::Stopping => Kind::Unavailable,
            Self::ManyAddresses(_)
            | Self::NoAddress
            | Self::Address { .. }
            | Self::Token
            | Self::ForeignRoot { .. }
            | Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::Refused { kind, .. } => *kind,
            Self::NotImplemented(_) => Kind::NotImplemented,
            Self::Command(error) => error.kind(),
            Self::Pki(error) => error.kind(),
            Self::Raft(error) => error.kind(),
            Self::Listen { .. } | Self::File { .. } => Kind::Internal,
        }
    }
}
