//! The system call filter: the engine's compiled program, or the OCI spec's rules.

use std::fs::File;

use oci_spec::runtime::{
    Linux, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator,
};
use shoal_sys::seccomp::{Action, Comparison, Condition, Program, Rule, Rules};

use super::{invalid, unbuilt};
use crate::{bundle::ShimConfig, protocol::Failure};

/// EPERM: what a denied call gets when the rules name no error.
const DEFAULT_ERRNO: u32 = 1;

pub(super) fn program(linux: &Linux, config: &ShimConfig) -> Result<Option<Program>, Failure> {
    if let Some(path) = &config.seccomp_program {
        let read = File::open(path).and_then(Program::read_from);
        return read
            .map(Some)
            .map_err(|error| invalid(format!("seccomp program {}: {error}", path.display())));
    }
    let Some(seccomp) = linux.seccomp() else { return Ok(None) };
    Program::compile(&rules(seccomp)?)
        .map(Some)
        .map_err(|error| invalid(format!("seccomp: {error}")))
}

fn rules(seccomp: &LinuxSeccomp) -> Result<Rules, Failure> {
    if seccomp.listener_path().is_some() {
        return Err(unbuilt("seccomp listeners"));
    }
    if seccomp.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(unbuilt("seccomp flags"));
    }
    let mut rules = Vec::new();
    for syscall in seccomp.syscalls().iter().flatten() {
        let conditions: Vec<Condition> =
            syscall.args().iter().flatten().map(condition).collect::<Result<_, _>>()?;
        let one = |conditions| -> Result<Rule, Failure> {
            Ok(Rule {
                names: syscall.names().clone(),
                action: action(syscall.action(), syscall.errno_ret())?,
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
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    Ok(Rules { default, rules })
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<Action, Failure> {
    let number = errno.unwrap_or(DEFAULT_ERRNO) as u16;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            Action::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(number),
        LinuxSeccompAction::ScmpActTrace => Action::Trace(number),
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
        LinuxSeccompAction::ScmpActNotify => return Err(unbuilt("seccomp notification")),
    })
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition, Failure> {
    let (comparison, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Comparison::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (Comparison::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (Comparison::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (Comparison::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (Comparison::GreaterOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (Comparison::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (Comparison::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
    };
    let argument = u8::try_from(arg.index())
        .map_err(|_| invalid(format!("seccomp argument {} does not exist", arg.index())))?;
    Ok(Condition { argument, comparison, value })
}
