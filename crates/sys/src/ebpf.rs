//! Loading eBPF programs; only what device rules need.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Stands beside programs others attached above.
const ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is
/// left out as zero.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Has the kernel check a device program. Each instruction is a `struct bpf_insn`
/// in native byte order.
pub(crate) fn load_device_program(instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut request = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: the pointers in the request live until the call returns, and the
    // kernel only reads from them.
    let fd = unsafe { bpf(PROG_LOAD, &mut request) }?;
    // SAFETY: a successful load returns a new descriptor nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ties a device program to a version 2 group.
pub(crate) fn attach_device_program(group: RawFd, program: &OwnedFd) -> io::Result<()> {
    let mut request = Attach {
        target_fd: group as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    // SAFETY: the request holds no pointers.
    unsafe { bpf(PROG_ATTACH, &mut request) }.map(|_| ())
}

/// # Safety
/// `request` is the head of `union bpf_attr` for `command`, its pointers valid.
unsafe fn bpf<T>(command: libc::c_int, request: &mut T) -> io::Result<RawFd> {
    // SAFETY: size and pointer belong to the same live value; the rest is the
    // caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
