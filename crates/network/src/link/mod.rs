//! Links: their names, what to do to them (pure), and the socket that does it.

pub(crate) mod change;
pub(crate) mod encode;
pub(crate) mod name;
pub(crate) mod plan;
pub(crate) mod socket;
