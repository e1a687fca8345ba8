//! The kernel: mounts, namespaces, processes, cgroups; the only unsafe code.
//!
//! Every function is synchronous and does one thing a system call (or a few) can
//! do; what to do when is decided above. Errors are [`std::io::Error`]: callers
//! know the object and add its name.
//!
//! Kernel needed: Linux 5.12 (`mount_setattr`); cgroup v1, hybrid or v2.

pub mod caps;
pub mod cgroup;
mod ebpf;
pub mod fdpass;
pub mod keyring;
pub mod memfd;
pub mod mount;
pub mod netns;
pub mod overlay;
pub mod process;
pub mod root;
pub mod seccomp;
pub mod tree;
pub mod unshare;
