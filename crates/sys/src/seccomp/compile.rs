//! Rules to BPF.
//!
//! Everything is put together from pieces that jump only forward and only to
//! their own end, so a piece is a plain list and its length is its address.

use std::collections::BTreeMap;

use super::{
    Action, Comparison, CompileError, Condition, Instruction, Rule, Rules,
    table::{self, InstructionSet},
};

type Code = Vec<Instruction>;

/// `struct seccomp_data`: where the filter finds what (linux/seccomp.h).
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;
/// `MAX_ERRNO` bits of a return value.
const DATA_MASK: u32 = 0xffff;
/// Longest distance of a conditional jump.
const SHORT_JUMP: usize = 255;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

pub(super) fn compile(rules: &Rules, sets: &[InstructionSet]) -> Result<Code, CompileError> {
    let mut code = vec![plain(LOAD, ARCH_OFFSET)];
    for &set in sets {
        let block = instruction_set(rules, set)?;
        code.push(jump(JUMP_EQUAL, set.audit, 1, 0));
        code.push(plain(JUMP, block.len() as u32));
        code.extend(block);
    }
    code.push(not_implemented());
    Ok(code)
}

fn instruction_set(rules: &Rules, set: InstructionSet) -> Result<Code, CompileError> {
    let mut by_number: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
    for rule in &rules.rules {
        let numbers = rule.names.iter().filter_map(|name| table::by_name(name)?.number(set));
        for number in numbers {
            by_number.entry(number).or_default().push(rule);
        }
    }
    // What the kernel has and no rule names falls under the default; what is
    // newer than the table is unknown to whoever wrote the rules.
    let newest = table::newest(set);
    let mut ranges: Vec<(u32, Code)> = Vec::new();
    let mut add = |start: u32, leaf: Code| {
        if ranges.last().is_none_or(|(_, last)| *last != leaf) {
            ranges.push((start, leaf));
        }
    };
    let mut next = 0;
    for (&number, rules_here) in &by_number {
        if number > next {
            add(next, vec![action(rules.default)]);
        }
        add(number, verdict(rules_here, rules.default)?);
        next = number + 1;
    }
    if next <= newest {
        add(next, vec![action(rules.default)]);
    }
    add(newest + 1, vec![not_implemented()]);
    add(set.end, vec![not_implemented()]);
    let mut code = vec![plain(LOAD, NUMBER_OFFSET)];
    code.extend(search(&ranges));
    Ok(code)
}

/// A balanced tree over ranges that each begin at a number.
fn search(ranges: &[(u32, Code)]) -> Code {
    let (left, right) = match ranges {
        [] => return vec![not_implemented()],
        [(_, leaf)] => return leaf.clone(),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let start = right[0].0;
    let (left, right) = (search(left), search(right));
    let mut code = if left.len() <= SHORT_JUMP {
        vec![jump(JUMP_GREATER_OR_EQUAL, start, left.len() as u8, 0)]
    } else {
        vec![jump(JUMP_GREATER_OR_EQUAL, start, 0, 1), plain(JUMP, left.len() as u32)]
    };
    code.extend(left);
    code.extend(right);
    code
}

/// The rules of one call, the first that holds deciding.
fn verdict(rules: &[&Rule], default: Action) -> Result<Code, CompileError> {
    let mut code = Vec::new();
    for rule in rules {
        let mut body = vec![action(rule.action)];
        for condition in rule.conditions.iter().rev() {
            body = test(*condition, body)?;
        }
        code.extend(body);
        if rule.conditions.is_empty() {
            return Ok(code);
        }
    }
    code.push(action(default));
    Ok(code)
}

/// `body` if the condition holds, past it if not.
fn test(condition: Condition, body: Code) -> Result<Code, CompileError> {
    if condition.argument > 5 {
        return Err(CompileError::Argument(condition.argument));
    }
    if body.len() > SHORT_JUMP - 8 {
        return Err(CompileError::TooLong(body.len()));
    }
    let low = ARGUMENTS_OFFSET + 8 * u32::from(condition.argument);
    let high = low + 4;
    let (value_high, value_low) = halves(condition.value);
    let fail = body.len() as u8;
    let mut code = match condition.comparison {
        Comparison::Equal => vec![
            plain(LOAD, high),
            jump(JUMP_EQUAL, value_high, 0, fail + 2),
            plain(LOAD, low),
            jump(JUMP_EQUAL, value_low, 0, fail),
        ],
        Comparison::NotEqual => vec![
            plain(LOAD, high),
            jump(JUMP_EQUAL, value_high, 0, 2),
            plain(LOAD, low),
            jump(JUMP_EQUAL, value_low, fail, 0),
        ],
        Comparison::MaskedEqual(mask) => masked(mask, condition.value, low, fail),
        Comparison::Greater => above(JUMP_GREATER, condition.value, low, fail, true),
        Comparison::GreaterOrEqual => {
            above(JUMP_GREATER_OR_EQUAL, condition.value, low, fail, true)
        }
        Comparison::Less => above(JUMP_GREATER_OR_EQUAL, condition.value, low, fail, false),
        Comparison::LessOrEqual => above(JUMP_GREATER, condition.value, low, fail, false),
    };
    code.extend(body);
    Ok(code)
}

/// Into the body if "greater" (by the sense of `comparison`) is `wanted`.
fn above(comparison: u16, value: u64, low: u32, fail: u8, wanted: bool) -> Code {
    let (value_high, value_low) = halves(value);
    let (yes, no) = if wanted { (0, fail) } else { (fail, 0) };
    vec![
        plain(LOAD, low + 4),
        // Above in the upper half: decided. Else equal there: look at the lower.
        jump(JUMP_GREATER, value_high, 3 + yes, 0),
        jump(JUMP_EQUAL, value_high, 0, 2 + no),
        plain(LOAD, low),
        jump(comparison, value_low, yes, no),
    ]
}

fn masked(mask: u64, value: u64, low: u32, fail: u8) -> Code {
    let (mask_high, mask_low) = halves(mask);
    let (value_high, value_low) = halves(value);
    let mut code = Vec::new();
    if mask_high != 0 || value_high != 0 {
        code.push(plain(LOAD, low + 4));
        code.push(plain(AND, mask_high));
        code.push(jump(JUMP_EQUAL, value_high, 0, fail + 3));
    }
    code.push(plain(LOAD, low));
    code.push(plain(AND, mask_low));
    code.push(jump(JUMP_EQUAL, value_low, 0, fail));
    code
}

fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

/// `SECCOMP_RET_*` (linux/seccomp.h).
fn action(action: Action) -> Instruction {
    let value = match action {
        Action::Allow => 0x7fff_0000,
        Action::Errno(number) => 0x0005_0000 | u32::from(number) & DATA_MASK,
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Log => 0x7ffc_0000,
        Action::Trace(number) => 0x7ff0_0000 | u32::from(number) & DATA_MASK,
    };
    plain(RETURN, value)
}

fn not_implemented() -> Instruction {
    action(Action::Errno(libc::ENOSYS as u16))
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}
