//! System calls by name: numbers per instruction set, and Docker's verdict.

use std::{collections::HashMap, sync::LazyLock};

/// An instruction set a filter can speak about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstructionSet {
    /// `AUDIT_ARCH_*`, which the kernel tells the filter.
    pub(super) audit: u32,
    /// Numbers from here on belong to another set (x32 on x86_64).
    pub(super) end: u32,
    column: usize,
}

const X86_64: InstructionSet = InstructionSet { audit: 0xc000_003e, end: 0x4000_0000, column: 0 };
const I386: InstructionSet = InstructionSet { audit: 0x4000_0003, end: u32::MAX, column: 1 };
const AARCH64: InstructionSet = InstructionSet { audit: 0xc000_00b7, end: u32::MAX, column: 2 };

/// What this machine runs, the usual one first.
pub(super) const NATIVE: &[InstructionSet] =
    if cfg!(target_arch = "aarch64") { &[AARCH64] } else { &[X86_64, I386] };

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: &'static str,
    /// Who may make it under Docker's default profile.
    pub(super) who: &'static str,
    numbers: [Option<u32>; 3],
}

impl Call {
    /// Its number, where the instruction set has it.
    pub(super) fn number(&self, set: InstructionSet) -> Option<u32> {
        self.numbers.get(set.column).copied().flatten()
    }
}

/// Every call, in the table's order.
pub(super) fn calls() -> impl Iterator<Item = Call> {
    let lines = include_str!("syscalls.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(parse)
}

fn parse(line: &'static str) -> Option<Call> {
    let mut parts = line.split_ascii_whitespace();
    let (name, who) = (parts.next()?, parts.next()?);
    let mut number = || parts.next().and_then(|text| text.parse().ok());
    Some(Call { name, who, numbers: [number(), number(), number()] })
}

static BY_NAME: LazyLock<HashMap<&'static str, Call>> =
    LazyLock::new(|| calls().map(|call| (call.name, call)).collect());

/// The call of this name, if any instruction set has it.
pub(super) fn by_name(name: &str) -> Option<&'static Call> {
    BY_NAME.get(name)
}

/// The newest number an instruction set has in the table.
pub(super) fn newest(set: InstructionSet) -> u32 {
    calls().filter_map(|call| call.number(set)).max().unwrap_or(0)
}
