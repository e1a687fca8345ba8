//! Which devices a group's processes may use.

use std::fmt::Write;

/// One rule; the last that matches a device counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// Of which kind.
    pub kind: DeviceKind,
    /// `None`: any.
    pub major: Option<u32>,
    /// `None`: any.
    pub minor: Option<u32>,
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Making the node.
    pub mknod: bool,
}

/// The kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Both.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

impl DeviceRule {
    /// Denies everything: the usual first rule.
    pub const DENY_ALL: Self = Self {
        allow: false,
        kind: DeviceKind::All,
        major: None,
        minor: None,
        read: true,
        write: true,
        mknod: true,
    };

    /// Allows reading, writing and making one character device.
    pub const fn allow_char(major: u32, minor: Option<u32>) -> Self {
        Self {
            allow: true,
            kind: DeviceKind::Char,
            major: Some(major),
            minor,
            read: true,
            write: true,
            mknod: true,
        }
    }

    /// Whether it decides about every request.
    pub(super) fn matches_all(&self) -> bool {
        let every_access = self.read && self.write && self.mknod;
        let every_device = self.major.is_none() && self.minor.is_none();
        self.kind == DeviceKind::All && every_device && every_access
    }

    /// `c 1:3 rwm`; `a` for everything (devices.allow, kernel documentation
    /// `cgroup-v1/devices`).
    pub(super) fn v1_text(&self) -> String {
        let kind = match self.kind {
            DeviceKind::All => return "a".into(),
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        let number = |part: Option<u32>| part.map_or("*".into(), |number| number.to_string());
        let mut text = format!("{kind} {}:{} ", number(self.major), number(self.minor));
        for (wanted, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if wanted {
                // Writing to a string cannot fail.
                let _ = text.write_char(letter);
            }
        }
        text
    }
}

/// Whether rules forbid nothing, so that they hold where nothing enforces them.
pub(super) fn allow_everything(rules: &[DeviceRule]) -> bool {
    let decided_from = rules.iter().rposition(DeviceRule::matches_all).unwrap_or(0);
    rules[decided_from..].iter().all(|rule| rule.allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_forbid_nothing_are_known() {
        let everything = DeviceRule { allow: true, ..DeviceRule::DENY_ALL };
        let null = DeviceRule::allow_char(1, Some(3));
        let no_null = DeviceRule { allow: false, ..null.clone() };
        let holds = |rules: &[DeviceRule]| allow_everything(rules);
        assert!(holds(&[]) && holds(std::slice::from_ref(&everything)));
        assert!(holds(&[DeviceRule::DENY_ALL, everything.clone(), null.clone()]));
        assert!(!holds(&[DeviceRule::DENY_ALL, null]));
        assert!(!holds(&[everything, no_null]));
    }

    #[test]
    fn rules_in_the_kernels_words() {
        assert_eq!(DeviceRule::DENY_ALL.v1_text(), "a");
        assert_eq!(DeviceRule::allow_char(1, Some(3)).v1_text(), "c 1:3 rwm");
        let read = DeviceRule { write: false, mknod: false, ..DeviceRule::allow_char(136, None) };
        assert_eq!(read.v1_text(), "c 136:* r");
    }
}
