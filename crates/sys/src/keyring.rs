//! Session keyrings: what keys a process and its children have at hand.

use std::io;

/// Gives the calling process a session keyring of its own, new and empty, in place
/// of the one it inherited. Nobody can join it, as it has no name. Without keyrings
/// there is nothing to be given up, nor behind a filter that denies them to this
/// process: it denies them to its children, too.
pub fn new_session() -> io::Result<()> {
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: a null pointer stands for no name; no memory is touched.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, nameless) };
    match io::Error::last_os_error() {
        _ if result >= 0 => Ok(()),
        error => match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EPERM) => Ok(()),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> i64 {
        // SAFETY: takes numbers only.
        unsafe {
            libc::syscall(
                libc::SYS_keyctl,
                libc::KEYCTL_GET_KEYRING_ID,
                libc::KEY_SPEC_SESSION_KEYRING,
                0,
            )
        }
    }

    #[test]
    fn the_new_keyring_is_another() {
        // Keyrings belong to the thread that asks.
        std::thread::spawn(|| {
            let inherited = session();
            new_session().unwrap();
            let first = session();
            new_session().unwrap();
            assert!(first != inherited && first != session());
        })
        .join()
        .unwrap();
    }
}
