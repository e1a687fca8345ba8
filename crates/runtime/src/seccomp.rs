//! System call rules as text: the OCI spec's section, and Docker's profile files,
//! which are that section with conditions on who it is for.

use std::collections::BTreeSet;

use serde::Deserialize;
use shoal_model::{Classify, Kind};
use shoal_sys::seccomp::{Action, Comparison, CompileError, Condition, Program, Rule, Rules};

use crate::spec::{Present, Seccomp, Syscall, SyscallArgument};

/// EPERM: what a denied call gets when the rules name no error.
const DEFAULT_ERRNO: u32 = 1;

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is not a profile.
    #[error("malformed seccomp profile")]
    Malformed(#[source] serde_json::Error),
    /// A word nobody knows.
    #[error("unknown seccomp {what} {word:?}")]
    Unknown {
        /// What it stands for.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// Understood, and not built.
    #[error("seccomp {0}: not implemented")]
    NotImplemented(&'static str),
    /// The rules cannot be compiled.
    #[error("seccomp profile cannot be compiled")]
    Compile(#[from] CompileError),
}

impl Classify for ProfileError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotImplemented(_) => Kind::NotImplemented,
            Self::Malformed(_) | Self::Unknown { .. } | Self::Compile(_) => Kind::Invalid,
        }
    }
}

/// A Docker profile file (`docker run --security-opt seccomp=FILE`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    flags: Present,
    #[serde(default)]
    listener_path: Present,
    #[serde(default)]
    syscalls: Option<Vec<ProfileRule>>,
}

#[derive(Debug, Deserialize)]
struct ProfileRule {
    /// The older form names one call.
    name: Option<String>,
    #[serde(flatten)]
    rule: Syscall,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

/// Who a rule is for, or not for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Compiles a Docker profile for a process with these capabilities (with or
/// without `CAP_`).
pub fn compile_docker_profile<'a>(
    json: &str,
    capabilities: impl IntoIterator<Item = &'a str>,
) -> Result<Program, ProfileError> {
    let profile: Profile = serde_json::from_str(json).map_err(ProfileError::Malformed)?;
    let capabilities: BTreeSet<&str> =
        capabilities.into_iter().map(|name| name.strip_prefix("CAP_").unwrap_or(name)).collect();
    let applies = |rule: &ProfileRule| {
        rule.includes.as_ref().is_none_or(|filter| filter.includes(&capabilities))
            && !rule.excludes.as_ref().is_some_and(|filter| filter.excludes(&capabilities))
    };
    let syscalls = profile
        .syscalls
        .unwrap_or_default()
        .into_iter()
        .filter(applies)
        .map(|mut one| {
            one.rule.names.extend(one.name);
            one.rule
        })
        .collect();
    compile(&Seccomp {
        default_action: profile.default_action,
        default_errno_ret: profile.default_errno_ret,
        flags: profile.flags,
        listener_path: profile.listener_path,
        syscalls,
    })
}

impl Filter {
    /// Every condition that is there holds.
    fn includes(&self, capabilities: &BTreeSet<&str>) -> bool {
        let caps = self.caps.iter().flatten();
        // Every kernel we run on is newer than what any profile asks for.
        let kernel = self.min_kernel.as_deref().is_none_or(|text| !text.is_empty());
        let arch = |list: &Vec<String>| list.is_empty() || names_this_machine(list);
        kernel
            && self.arches.as_ref().is_none_or(arch)
            && caps.into_iter().all(|cap| has(capabilities, cap))
    }

    /// Any condition holds.
    fn excludes(&self, capabilities: &BTreeSet<&str>) -> bool {
        self.caps.iter().flatten().any(|cap| has(capabilities, cap))
            || self.arches.as_ref().is_some_and(|list| names_this_machine(list))
    }
}

fn has(capabilities: &BTreeSet<&str>, name: &str) -> bool {
    capabilities.contains(name.strip_prefix("CAP_").unwrap_or(name))
}

/// In Go's names, which profiles use.
fn names_this_machine(list: &[String]) -> bool {
    let ours = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    list.iter().any(|name| name == ours)
}

/// Compiles the OCI spec's section.
pub(crate) fn compile(seccomp: &Seccomp) -> Result<Program, ProfileError> {
    if seccomp.listener_path.says_something() {
        return Err(ProfileError::NotImplemented("listeners"));
    }
    if seccomp.flags.says_something() {
        return Err(ProfileError::NotImplemented("flags"));
    }
    let mut rules = Vec::new();
    for syscall in &seccomp.syscalls {
        let conditions: Vec<Condition> =
            syscall.args.iter().map(condition).collect::<Result<_, _>>()?;
        let one = |conditions| -> Result<Rule, ProfileError> {
            Ok(Rule {
                names: syscall.names.clone(),
                action: action(&syscall.action, syscall.errno_ret)?,
                conditions,
            })
        };
        let twice = (0..6).any(|argument| {
            conditions.iter().filter(|condition| condition.argument == argument).count() > 1
        });
        if twice {
            // libseccomp cannot test an argument twice, so every runtime reads
            // this as alternatives.
            for condition in conditions {
                rules.push(one(vec![condition])?);
            }
        } else {
            rules.push(one(conditions)?);
        }
    }
    let default = action(&seccomp.default_action, seccomp.default_errno_ret)?;
    Ok(Program::compile(&Rules { default, rules })?)
}

fn action(action: &str, errno: Option<u32>) -> Result<Action, ProfileError> {
    let number = errno.unwrap_or(DEFAULT_ERRNO) as u16;
    Ok(match action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_NOTIFY" => return Err(ProfileError::NotImplemented("notification")),
        other => return Err(ProfileError::Unknown { what: "action", word: other.into() }),
    })
}

fn condition(argument: &SyscallArgument) -> Result<Condition, ProfileError> {
    let SyscallArgument { index, value, value_two, op } = argument;
    let (comparison, value) = match op.as_str() {
        "SCMP_CMP_NE" => (Comparison::NotEqual, *value),
        "SCMP_CMP_LT" => (Comparison::Less, *value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, *value),
        "SCMP_CMP_EQ" => (Comparison::Equal, *value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, *value),
        "SCMP_CMP_GT" => (Comparison::Greater, *value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(*value), *value_two),
        other => return Err(ProfileError::Unknown { what: "operator", word: other.into() }),
    };
    Ok(Condition { argument: *index, comparison, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"name": "open", "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
             "args": [{"index": 0, "value": 5, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["swapcontext"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["ppc64le"]}}
        ]}"#;

    #[test]
    fn capabilities_choose_the_rules() {
        let plain = compile_docker_profile(PROFILE, []).unwrap();
        let admin = compile_docker_profile(PROFILE, ["CAP_SYS_ADMIN"]).unwrap();
        assert_ne!(plain, admin);
        assert_eq!(admin, compile_docker_profile(PROFILE, ["SYS_ADMIN"]).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| compile_docker_profile(text, []).unwrap_err();
        assert!(matches!(error("{"), ProfileError::Malformed(_)));
        let unknown = error(r#"{"defaultAction": "SCMP_ACT_DANCE"}"#);
        assert_eq!(unknown.to_string(), "unknown seccomp action \"SCMP_ACT_DANCE\"");
        let notify = error(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#);
        assert_eq!(notify.kind(), Kind::NotImplemented);
    }
}
