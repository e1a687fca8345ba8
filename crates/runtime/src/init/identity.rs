//! Who the process is, by the container's own files.

use std::{io::Read, os::fd::AsFd};

use rustix::fs::{FileType, OFlags, fstat};
use shoal_sys::root::Root;

use super::failed;
use crate::{
    plan::UserChoice,
    protocol::{Failure, Reason},
    user::{self, Identity},
};

/// Longest user file that is read: thousands of times the usual.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

pub(super) fn resolve(root: &Root, choice: &UserChoice) -> Result<Identity, Failure> {
    let passwd = || read(root, "/etc/passwd");
    match choice {
        UserChoice::Ids { uid, gid, groups } => {
            let home = user::resolve(&uid.to_string(), &[], &passwd()?, "")
                .map_or_else(|_| "/".into(), |found| found.home);
            Ok(Identity { uid: *uid, gid: *gid, groups: groups.clone(), home })
        }
        UserChoice::Text { user, groups } => {
            user::resolve(user, groups, &passwd()?, &read(root, "/etc/group")?)
                .map_err(|error| Failure::new(Reason::Invalid, error.to_string()))
        }
    }
}

/// The text of a file of the container; empty if it is not there. Only ordinary
/// files are read: a pipe in its place would block for ever.
fn read(root: &Root, path: &str) -> Result<String, Failure> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match root.open(path, flags) {
        Ok(file) => file,
        // Missing, or a link that leads nowhere.
        Err(_) => return Ok(String::new()),
    };
    let stat = fstat(file.as_fd()).map_err(failed(path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(LONGEST_FILE).read_to_end(&mut bytes).map_err(failed(path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
