//! `user[:group]` as Docker users write it, looked up in the text of a container's
//! own `/etc/passwd` and `/etc/group`. Pure: no name service, no file is opened.
//!
//! The rules are Docker's: names win over numbers; a number needs no entry; a user
//! without `:group` gets the entry's group and every group that lists the user. The
//! primary group is among the further ones, too: a program that changes its primary
//! group must not lose what files of that group deny it (CVE-2022-36109).

/// Who a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Further groups, the primary one first.
    pub groups: Vec<u32>,
    /// The entry's directory; `/` without an entry.
    pub home: String,
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Neither a name in the file nor a number.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// Neither a name in the file nor a number.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// A number out of range.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

/// Largest id Docker takes.
const LARGEST_ID: u64 = i32::MAX as u64;

/// A line of `/etc/passwd`.
struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of `/etc/group`.
struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves `text` (empty: user 0) and further `groups`. Files that are not there
/// are empty text.
pub fn resolve(
    text: &str,
    groups: &[String],
    passwd: &str,
    group: &str,
) -> Result<Identity, UserError> {
    let (user, primary) = match text.split_once(':') {
        Some((user, primary)) => (user, Some(primary).filter(|text| !text.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = number(user)?;
    let mut entries = passwd.lines().filter_map(passwd_entry);
    let entry = entries.find(|entry| entry.name == user || number == Some(entry.uid));
    let mut identity = match (&entry, number) {
        (Some(entry), _) => {
            Identity { uid: entry.uid, gid: entry.gid, groups: vec![], home: entry.home.into() }
        }
        (None, Some(uid)) => Identity { uid, gid: 0, groups: vec![], home: String::new() },
        (None, None) => return Err(UserError::User(user.into())),
    };
    if identity.home.is_empty() {
        identity.home = "/".into();
    }
    match (primary, entry) {
        (Some(primary), _) => identity.gid = resolve_group(primary, group)?,
        (None, Some(entry)) => {
            let lists = |one: &GroupEntry<'_>| one.members.split(',').any(|m| m == entry.name);
            let mine = group.lines().filter_map(group_entry).filter(lists);
            identity.groups = mine.map(|one| one.gid).collect();
        }
        (None, None) => {}
    }
    identity.groups.retain(|gid| *gid != identity.gid);
    identity.groups.insert(0, identity.gid);
    for text in groups {
        let gid = resolve_group(text, group)?;
        if !identity.groups.contains(&gid) {
            identity.groups.push(gid);
        }
    }
    Ok(identity)
}

fn resolve_group(text: &str, group: &str) -> Result<u32, UserError> {
    let number = number(text)?;
    let mut entries = group.lines().filter_map(group_entry);
    entries
        .find(|entry| entry.name == text || number == Some(entry.gid))
        .map(|entry| entry.gid)
        .or(number)
        .ok_or_else(|| UserError::Group(text.into()))
}

fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(number) if number <= LARGEST_ID => Ok(Some(number as u32)),
        _ => Err(UserError::Range),
    }
}

fn passwd_entry(line: &str) -> Option<PasswdEntry<'_>> {
    let mut parts = line.trim().split(':');
    let (name, _password) = (parts.next()?, parts.next()?);
    let (uid, gid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let home = parts.nth(1).unwrap_or("");
    Some(PasswdEntry { name, uid, gid, home })
}

fn group_entry(line: &str) -> Option<GroupEntry<'_>> {
    let mut parts = line.trim().split(':');
    let (name, _password) = (parts.next()?, parts.next()?);
    let gid = parts.next()?.parse().ok()?;
    Some(GroupEntry { name, gid, members: parts.next().unwrap_or("") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        # comment\n\
        www:x:33:33:www:/var/www:/bin/false\n\
        77:x:1077:1077::/odd:/bin/sh\n\
        broken:x:notanumber:1::/\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nadm:x:4:root,www\nvideo:x:44:www\n";

    fn found(text: &str) -> Identity {
        resolve(text, &[], PASSWD, GROUP).unwrap()
    }

    #[test]
    fn names_numbers_and_nothing() {
        assert_eq!(found("").home, "/root");
        let www = found("www");
        assert_eq!((www.uid, www.gid, www.groups), (33, 33, vec![33, 4, 44]));
        assert_eq!(found("33").groups, [33, 4, 44]);
        let stranger = found("4711");
        assert_eq!((stranger.uid, stranger.gid, stranger.home.as_str()), (4711, 0, "/"));
        assert_eq!(stranger.groups, [0]);
        // A name that looks like a number is a name.
        assert_eq!(found("77").uid, 1077);
    }

    #[test]
    fn a_group_given_replaces_the_others() {
        let user = found("www:video");
        assert_eq!((user.uid, user.gid, user.groups), (33, 44, vec![44]));
        assert_eq!(found("4711:4712").gid, 4712);
        assert_eq!(found(":video").gid, 44);
        let more = resolve("root", &["video".into(), "99".into(), "4".into()], PASSWD, GROUP);
        assert_eq!(more.unwrap().groups, [0, 4, 44, 99]);
    }

    #[test]
    fn strangers_by_name_are_errors_in_dockers_words() {
        let error = |text: &str| resolve(text, &[], PASSWD, GROUP).unwrap_err().to_string();
        assert_eq!(
            error("nobody"),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(error("www:x"), "unable to find group x: no matching entries in group file");
        assert_eq!(error("4294967295"), "uids and gids must be in range 0-2147483647");
        assert_eq!(resolve("0", &[], "", "").unwrap().home, "/");
    }
}
