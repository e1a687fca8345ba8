//! The engine with real processes: needs root, busybox, and the kernel's namespaces.

#![allow(clippy::print_stdout, reason = "a child tells its parent so that it is ready")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

mod bed;
mod crash;
mod execs;
mod life;
mod limits;
mod networks;
mod output;
mod refusals;
mod shims;
mod volumes;
