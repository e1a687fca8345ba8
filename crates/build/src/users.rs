//! Who `--chown` names: the rootfs's `/etc/passwd` and `/etc/group`, read as
//! data. No name service is ever asked.

use std::path::Path;

use crate::tree::{Owner, Tree};

/// The largest passwd or group file read; one with a hundred thousand users
/// fits.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Resolves `user[:group]`, names or numbers, in a root file system.
///
/// As in Docker, a lone number is both the user's and the group's, and a lone
/// name gets the group of its passwd entry.
///
/// # Errors
/// In Docker's words, if a name is not there.
pub(crate) fn resolve(tree: &Tree, text: &str) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let (uid, own_gid) = match user.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) => user_entry(&lines(tree, "etc/passwd")?, user)
            .ok_or_else(|| format!("unable to convert uid/gid chown string to host mapping: can't find uid for user {user}: no such user: {user}"))?,
    };
    let gid = match group {
        None => own_gid,
        Some(group) => match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => group_entry(&lines(tree, "etc/group")?, group)
                .ok_or_else(|| format!("unable to convert uid/gid chown string to host mapping: can't find gid for group {group}: no such group: {group}"))?,
        },
    };
    Ok(Owner { uid, gid })
}

fn lines(tree: &Tree, path: &str) -> Result<String, String> {
    match tree.read(Path::new(path), MAX_FILE_BYTES) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("can't read /{path}: {error}")),
    }
}

fn user_entry(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [user, _, uid, gid, ..] if *user == name => {
                Some((uid.parse().ok()?, gid.parse().ok()?))
            }
            _ => None,
        }
    })
}

fn group_entry(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [group, _, gid, ..] if *group == name => gid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        assert_eq!(resolve(&tree, "5").unwrap(), Owner { uid: 5, gid: 5 });
        assert_eq!(resolve(&tree, "5:7").unwrap(), Owner { uid: 5, gid: 7 });
        assert!(resolve(&tree, "web").unwrap_err().contains("no such user: web"));
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/:\nweb:x:33:34::/:\nbad\n")
            .unwrap();
        std::fs::write(dir.path().join("etc/group"), "www:x:99:web\n").unwrap();
        assert_eq!(resolve(&tree, "web").unwrap(), Owner { uid: 33, gid: 34 });
        assert_eq!(resolve(&tree, "web:www").unwrap(), Owner { uid: 33, gid: 99 });
        assert_eq!(resolve(&tree, "web:1").unwrap(), Owner { uid: 33, gid: 1 });
        assert!(resolve(&tree, "web:nobody").unwrap_err().contains("no such group: nobody"));
    }
}
