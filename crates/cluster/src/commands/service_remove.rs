//! A service goes. Its tasks follow in the next pass.

use shoal_model::ServiceId;

use super::{CommandError, Decision};
use crate::store::{Change, Store};

pub(super) fn decide(view: &Store, id: &ServiceId) -> Result<Decision, CommandError> {
    if view.service(id).is_none() {
        return Err(CommandError::not_found("service", id));
    }
    Ok(Decision::done(vec![Change::RemoveService(id.clone())]))
}
