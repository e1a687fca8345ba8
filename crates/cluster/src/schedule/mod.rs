//! Where tasks run.

mod constraint;

pub(crate) use constraint::all_met_by;
pub use constraint::{Constraint, ConstraintError};

use crate::pass::Work;

pub(crate) fn run(_work: &mut Work<'_>) {}
