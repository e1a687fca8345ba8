//! Addresses: which subnet a network gets and which address an endpoint gets.
//! Pure.

mod allocator;
mod request;

pub(crate) use allocator::{AllocateError, Allocator};
pub(crate) use request::{choose, default_pool};
