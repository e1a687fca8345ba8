//! The system call filter: the engine's compiled program, or the OCI spec's rules.

use std::fs::File;

use shoal_sys::seccomp::{Action, Comparison, Condition, Program, Rule, Rules};

use super::{invalid, unbuilt};
use crate::{
    bundle::ShimConfig,
    protocol::Failure,
    spec::{Linux, Seccomp, SyscallArgument},
};

/// EPERM: what a denied call gets when the rules name no error.
const DEFAULT_ERRNO: u32 = 1;

pub(super) fn program(linux: &Linux, config: &ShimConfig) -> Result<Option<Program>, Failure> {
    if let Some(path) = &config.seccomp_program {
        let read = File::open(path).and_then(Program::read_from);
        return read
            .map(Some)
            .map_err(|error| invalid(format!("seccomp program {}: {error}", path.display())));
    }
    let Some(seccomp) = &linux.seccomp else { return Ok(None) };
    Program::compile(&rules(seccomp)?)
        .map(Some)
        .map_err(|error| invalid(format!("seccomp: {error}")))
}

fn rules(seccomp: &Seccomp) -> Result<Rules, Failure> {
    if seccomp.listener_path.says_something() {
        return Err(unbuilt("seccomp listeners"));
    }
    if seccomp.flags.says_something() {
        return Err(unbuilt("seccomp flags"));
    }
    let mut rules = Vec::new();
    for syscall in &seccomp.syscalls {
        let conditions: Vec<Condition> =
            syscall.args.iter().map(condition).collect::<Result<_, _>>()?;
        let one = |conditions| -> Result<Rule, Failure> {
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
    Ok(Rules { default, rules })
}

fn action(action: &str, errno: Option<u32>) -> Result<Action, Failure> {
    let number = errno.unwrap_or(DEFAULT_ERRNO) as u16;
    Ok(match action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        other => return Err(unbuilt(&format!("seccomp action {other:?}"))),
    })
}

fn condition(argument: &SyscallArgument) -> Result<Condition, Failure> {
    let SyscallArgument { index, value, value_two, op } = argument;
    let (comparison, value) = match op.as_str() {
        "SCMP_CMP_NE" => (Comparison::NotEqual, *value),
        "SCMP_CMP_LT" => (Comparison::Less, *value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, *value),
        "SCMP_CMP_EQ" => (Comparison::Equal, *value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, *value),
        "SCMP_CMP_GT" => (Comparison::Greater, *value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(*value), *value_two),
        other => return Err(invalid(format!("unknown seccomp operator {other:?}"))),
    };
    Ok(Condition { argument: *index, comparison, value })
}
