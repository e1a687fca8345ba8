//! Refusals in the codes that workers react to.

use shoal_cluster::dispatch::DispatchError;
use tonic::Status;

/// The core's refusal as the code workers react to.
pub(super) fn refusal(error: &DispatchError) -> Status {
    let text = error.to_string();
    match error {
        DispatchError::UnknownNode(_) => Status::not_found(text),
        DispatchError::WrongSession => Status::invalid_argument(text),
        DispatchError::RegistersTooOften(_) => Status::unavailable(text),
        DispatchError::ForeignTask => Status::permission_denied(text),
        DispatchError::NotLeader => Status::aborted(text),
    }
}

/// This manager does not lead, or stops: look for another.
pub(super) fn not_leading() -> Status {
    refusal(&DispatchError::NotLeader)
}
