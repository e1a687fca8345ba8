//! Device rules on version 2: a small eBPF program on the group.

use std::{fs::File, io, os::fd::AsRawFd, path::Path};

use super::{DeviceKind, DeviceRule};

/// Loads the rules as a program and ties it to the group at `dir`, which keeps it.
pub(super) fn attach(dir: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let group = File::open(dir)?;
    let program = crate::ebpf::load_device_program(&assemble(rules))?;
    crate::ebpf::attach_device_program(group.as_raw_fd(), &program)
}

/// One eBPF instruction (`struct bpf_insn`), as the kernel wants it in memory.
type Insn = u64;

/// Registers: the context, then what is taken from it.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;
const RESULT: u8 = 0;

/// `BPF_DEVCG_DEV_*` and `BPF_DEVCG_ACC_*` (linux/bpf.h).
const DEV_BLOCK: i32 = 1;
const DEV_CHAR: i32 = 2;
const ACC_MKNOD: i32 = 1;
const ACC_READ: i32 = 2;
const ACC_WRITE: i32 = 4;

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_VALUE: u8 = 0x55;
const JUMP_IF_VALUE: u8 = 0x15;
const JUMP_NOT: u8 = 0x5d;
const EXIT: u8 = 0x95;

fn insn(code: u8, target: u8, source: u8, offset: i16, value: i32) -> Insn {
    let mut bytes = [code, source << 4 | target, 0, 0, 0, 0, 0, 0];
    bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
    bytes[4..8].copy_from_slice(&value.to_ne_bytes());
    Insn::from_ne_bytes(bytes)
}

/// The program: the last rule is asked first, the first answer counts, no answer
/// means no.
fn assemble(rules: &[DeviceRule]) -> Vec<Insn> {
    let mut program = vec![
        insn(LOAD_WORD, KIND, CONTEXT, 0, 0),
        insn(MOVE, ACCESS, KIND, 0, 0),
        insn(AND_VALUE, KIND, 0, 0, 0xffff),
        insn(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        insn(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        insn(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(assemble_rule(rule));
        if rule.matches_all() {
            // What follows could not be reached, which the kernel refuses.
            return program;
        }
    }
    program.extend([insn(MOVE_VALUE, RESULT, 0, 0, 0), insn(EXIT, 0, 0, 0, 0)]);
    program
}

/// Tests that jump past the rule when they do not fit; the jumps' distances are
/// known once the rule's length is.
fn assemble_rule(rule: &DeviceRule) -> Vec<Insn> {
    /// A jump out of the rule, still without its distance.
    struct Test(u8, u8, u8, i32);
    let mut steps: Vec<Result<Insn, Test>> = Vec::new();
    match rule.kind {
        DeviceKind::All => {}
        DeviceKind::Char => steps.push(Err(Test(JUMP_NOT_VALUE, KIND, 0, DEV_CHAR))),
        DeviceKind::Block => steps.push(Err(Test(JUMP_NOT_VALUE, KIND, 0, DEV_BLOCK))),
    }
    let bit = |wanted, bit| if wanted { bit } else { 0 };
    let access = bit(rule.mknod, ACC_MKNOD) | bit(rule.read, ACC_READ) | bit(rule.write, ACC_WRITE);
    if access != ACC_MKNOD | ACC_READ | ACC_WRITE {
        steps.push(Ok(insn(MOVE, SCRATCH, ACCESS, 0, 0)));
        steps.push(Ok(insn(AND_VALUE, SCRATCH, 0, 0, access)));
        // Allowed is what asks for nothing beyond the rule; denied what asks for
        // anything in it.
        steps.push(Err(if rule.allow {
            Test(JUMP_NOT, SCRATCH, ACCESS, 0)
        } else {
            Test(JUMP_IF_VALUE, SCRATCH, 0, 0)
        }));
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(number) = number {
            steps.push(Err(Test(JUMP_NOT_VALUE, register, 0, number as i32)));
        }
    }
    steps.push(Ok(insn(MOVE_VALUE, RESULT, 0, 0, i32::from(rule.allow))));
    steps.push(Ok(insn(EXIT, 0, 0, 0, 0)));
    let end = steps.len();
    let resolve = |(at, step): (usize, Result<Insn, Test>)| {
        step.unwrap_or_else(|Test(code, target, source, value)| {
            // A rule has at most eleven steps.
            insn(code, target, source, (end - at - 1) as i16, value)
        })
    };
    steps.into_iter().enumerate().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on a request: the few instructions it is made of.
    fn run(program: &[Insn], kind: i32, access: i32, major: i32, minor: i32) -> i64 {
        let context = [(access << 16 | kind) as u32, major as u32, minor as u32];
        let mut registers = [0_i64; 8];
        let mut at = 0;
        loop {
            let bytes = program[at].to_ne_bytes();
            let (target, source) = ((bytes[1] & 15) as usize, (bytes[1] >> 4) as usize);
            let offset = i16::from_ne_bytes([bytes[2], bytes[3]]);
            let value = i64::from(i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
            let jump = match bytes[0] {
                LOAD_WORD => {
                    registers[target] = i64::from(context[offset as usize / 4]);
                    false
                }
                MOVE => {
                    registers[target] = registers[source];
                    false
                }
                MOVE_VALUE => {
                    registers[target] = value;
                    false
                }
                AND_VALUE => {
                    registers[target] &= value;
                    false
                }
                SHIFT_RIGHT => {
                    registers[target] >>= value;
                    false
                }
                JUMP_NOT_VALUE => registers[target] != value,
                JUMP_IF_VALUE => registers[target] == value,
                JUMP_NOT => registers[target] != registers[source],
                EXIT => return registers[0],
                other => panic!("unknown instruction {other:x}"),
            };
            at = (at as i64 + 1 + if jump { i64::from(offset) } else { 0 }) as usize;
        }
    }

    #[test]
    fn the_last_matching_rule_decides() {
        let null = DeviceRule::allow_char(1, Some(3));
        let terminals =
            DeviceRule { mknod: false, write: false, ..DeviceRule::allow_char(136, None) };
        let no_read = DeviceRule {
            allow: false,
            write: false,
            mknod: false,
            ..DeviceRule::allow_char(1, Some(5))
        };
        let zero = DeviceRule::allow_char(1, Some(5));
        let program = assemble(&[DeviceRule::DENY_ALL, null, terminals, zero, no_read]);
        let asks = |kind, access, major, minor| run(&program, kind, access, major, minor);
        assert_eq!(asks(DEV_CHAR, ACC_READ | ACC_WRITE, 1, 3), 1);
        assert_eq!(asks(DEV_BLOCK, ACC_READ, 1, 3), 0);
        assert_eq!(asks(DEV_CHAR, ACC_READ, 1, 4), 0);
        assert_eq!(asks(DEV_CHAR, ACC_READ, 136, 7), 1);
        assert_eq!(asks(DEV_CHAR, ACC_READ | ACC_WRITE, 136, 7), 0);
        assert_eq!(asks(DEV_CHAR, ACC_WRITE, 1, 5), 1);
        assert_eq!(asks(DEV_CHAR, ACC_READ | ACC_WRITE, 1, 5), 0);
    }

    #[test]
    fn the_kernel_accepts_the_program() {
        let rules = [DeviceRule::DENY_ALL, DeviceRule::allow_char(1, None)];
        crate::ebpf::load_device_program(&assemble(&rules)).unwrap();
    }
}
