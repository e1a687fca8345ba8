//! The engine with real processes: needs root, busybox, and the kernel's namespaces.

mod bed;
mod crash;
mod execs;
mod life;
mod limits;
mod networks;
mod output;
mod refusals;
mod volumes;
