//! Reading a system call filter in Docker's JSON form. Pure.
//!
//! Unknown members are refused: a filter that is half understood is none.

use serde::Deserialize;
use shoal_sys::seccomp::{Action, Comparison, Condition, Rule, Rules};

/// `EPERM`: what a forbidden call answers when the profile names no number.
const DEFAULT_ERRNO: u16 = 1;

/// What conditions of a profile are compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Capabilities of the process, without `CAP_`.
    pub(crate) capabilities: &'a [&'a str],
    /// Architecture in Docker's word (`amd64`).
    pub(crate) architecture: &'a str,
    /// Major and minor version of the kernel.
    pub(crate) kernel: (u32, u32),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    /// Which instruction sets are meant; the filter is made for this machine's.
    #[serde(default, rename = "architectures")]
    _architectures: serde::de::IgnoredAny,
    #[serde(default, rename = "archMap")]
    _arch_map: serde::de::IgnoredAny,
    #[serde(default)]
    syscalls: Vec<Calls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Calls {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default, rename = "comment")]
    _comment: serde::de::IgnoredAny,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// The rules a profile has for a process in these surroundings.
///
/// # Errors
/// What cannot be understood, for people.
pub(crate) fn read(json: &str, around: Surroundings<'_>) -> Result<Rules, String> {
    let profile: Profile = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut rules = Vec::new();
    for calls in profile.syscalls {
        if !calls.includes.holds(around)? || calls.excludes.excludes(around)? {
            continue;
        }
        let mut names = calls.names;
        if !calls.name.is_empty() {
            names.push(calls.name);
        }
        let conditions: Result<_, _> =
            calls.args.unwrap_or_default().iter().map(condition).collect();
        let errno = calls.errno_ret.or(profile.default_errno_ret);
        rules.push(Rule { names, action: action(&calls.action, errno)?, conditions: conditions? });
    }
    Ok(Rules { default, rules })
}

impl Filter {
    /// Whether everything that is named is so.
    fn holds(&self, around: Surroundings<'_>) -> Result<bool, String> {
        let caps = self.caps.iter().flatten().all(|cap| around.has(cap));
        let arches = self.arches.as_ref().is_none_or(|arches| {
            arches.is_empty() || arches.iter().any(|arch| arch == around.architecture)
        });
        let kernel = match &self.min_kernel {
            None => true,
            Some(least) => around.kernel >= version(least)?,
        };
        Ok(caps && arches && kernel)
    }

    /// Whether anything that is named is so.
    fn excludes(&self, around: Surroundings<'_>) -> Result<bool, String> {
        let caps = self.caps.iter().flatten().any(|cap| around.has(cap));
        let arches = self.arches.iter().flatten().any(|arch| arch == around.architecture);
        let kernel = match &self.min_kernel {
            None => false,
            Some(least) => around.kernel >= version(least)?,
        };
        Ok(caps || arches || kernel)
    }
}

impl Surroundings<'_> {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability.strip_prefix("CAP_").unwrap_or(capability))
    }
}

/// Major and minor of a version like `6.18.0-1-cloud`.
pub(crate) fn version(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("invalid kernel version {text:?}");
    let mut parts = text.split(['.', '-', '+']);
    let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong);
    Ok((number()?, number()?))
}

fn action(name: &str, errno: Option<u16>) -> Result<Action, String> {
    let errno = errno.unwrap_or(DEFAULT_ERRNO);
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        other => return Err(format!("action {other} is not supported")),
    })
}

fn condition(argument: &Argument) -> Result<Condition, String> {
    let (comparison, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Equal, argument.value),
        "SCMP_CMP_NE" => (Comparison::NotEqual, argument.value),
        "SCMP_CMP_LT" => (Comparison::Less, argument.value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, argument.value),
        "SCMP_CMP_GT" => (Comparison::Greater, argument.value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, argument.value),
        // `value` is the mask there, `valueTwo` what is left of it.
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(argument.value), argument.value_two),
        other => return Err(format!("comparison {other} is not supported")),
    };
    Ok(Condition { argument: argument.index, comparison, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around<'a>(capabilities: &'a [&'a str]) -> Surroundings<'a> {
        Surroundings { capabilities, architecture: "amd64", kernel: (6, 18) }
    }

    #[test]
    fn rules_apply_where_their_conditions_hold() {
        let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,
            "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":[]}],
            "syscalls":[
              {"names":["read"],"action":"SCMP_ACT_ALLOW"},
              {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
              {"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
              {"names":["arm_only"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["arm"]}},
              {"name":"clone","action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]},
               "args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
        let names = |rules: &Rules| -> Vec<String> {
            rules.rules.iter().flat_map(|rule| rule.names.clone()).collect()
        };
        let plain = read(json, around(&[])).unwrap();
        assert_eq!(plain.default, Action::Errno(38));
        assert_eq!(names(&plain), ["read", "ptrace", "clone"]);
        let mask = Comparison::MaskedEqual(2_114_060_288);
        assert_eq!(plain.rules[2].conditions[0].comparison, mask);
        let admin = read(json, around(&["SYS_ADMIN"])).unwrap();
        assert_eq!(names(&admin), ["read", "mount", "ptrace"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for json in [
            "{",
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"X"}]}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","surprise":1}"#,
        ] {
            assert!(read(json, around(&[])).is_err(), "{json}");
        }
        assert_eq!(version("6.18.0-1-cloud"), Ok((6, 18)));
        assert!(version("six").is_err());
    }
}
