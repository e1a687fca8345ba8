//! Compiled programs, run by a small interpreter and by the kernel.

use super::*;

/// What the kernel shows a filter.
#[derive(Clone, Copy)]
struct Call {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
}

const ALLOWED: u32 = 0x7fff_0000;
const NO_PERMISSION: u32 = 0x0005_0001;
const NO_SUCH_CALL: u32 = 0x0005_0026;
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

fn run(program: &Program, call: Call) -> u32 {
    let mut accumulator = 0_u32;
    let mut at = 0;
    loop {
        let one = program.instructions[at];
        at += 1;
        let mut branch = |taken: bool| {
            at += usize::from(if taken { one.jump_true } else { one.jump_false });
        };
        match one.code {
            0x20 => {
                accumulator = match one.k {
                    0 => call.number,
                    4 => call.arch,
                    offset => {
                        let argument = call.arguments[(offset as usize - 16) / 8];
                        if offset % 8 == 0 { argument as u32 } else { (argument >> 32) as u32 }
                    }
                };
            }
            0x54 => accumulator &= one.k,
            0x05 => at += one.k as usize,
            0x15 => branch(accumulator == one.k),
            0x25 => branch(accumulator > one.k),
            0x35 => branch(accumulator >= one.k),
            0x06 => return one.k,
            other => panic!("unknown instruction {other:x}"),
        }
    }
}

fn asks(program: &Program, number: i64, first: u64) -> u32 {
    let arguments = [first, 0, 0, 0, 0, 0];
    run(program, Call { number: number as u32, arch: X86_64, arguments })
}

#[cfg(target_arch = "x86_64")]
#[test]
fn docker_default_decides_as_docker_does() {
    let program = Program::docker_default(["CHOWN", "NET_RAW"]).unwrap();
    let answers = [
        (libc::SYS_read, 0, ALLOWED),
        (libc::SYS_openat, 0, ALLOWED),
        (libc::SYS_ptrace, 0, ALLOWED),
        (libc::SYS_mount, 0, NO_PERMISSION),
        (libc::SYS_keyctl, 0, NO_PERMISSION),
        (libc::SYS_bpf, 0, NO_PERMISSION),
        (libc::SYS_unshare, 0, NO_PERMISSION),
        (libc::SYS_clone, 0x11, ALLOWED),
        (libc::SYS_clone, 0x1000_0011, NO_PERMISSION),
        (libc::SYS_clone3, 0, NO_SUCH_CALL),
        (libc::SYS_socket, 2, ALLOWED),
        (libc::SYS_socket, 38, NO_PERMISSION),
        (libc::SYS_socket, 39, ALLOWED),
        (libc::SYS_socket, 40, NO_PERMISSION),
        // The kernel sees 38 here as well.
        (libc::SYS_socket, 1 << 32 | 38, NO_PERMISSION),
        (libc::SYS_personality, 0, ALLOWED),
        (libc::SYS_personality, 0xffff_ffff, ALLOWED),
        (libc::SYS_personality, 0x4_0000, NO_PERMISSION),
        (libc::SYS_reboot, 0, NO_PERMISSION),
        (467, 0, NO_SUCH_CALL),
        (0x4000_0000, 0, NO_SUCH_CALL),
        (0xffff_ffff, 0, NO_SUCH_CALL),
    ];
    for (number, first, expected) in answers {
        let got = asks(&program, number, first);
        assert_eq!(got, expected, "call {number} with {first:#x}: {got:#x}");
    }
    // write, and mount, of i386.
    let foreign = |number| run(&program, Call { number, arch: I386, arguments: [0; 6] });
    assert_eq!(foreign(4), ALLOWED);
    assert_eq!(foreign(21), NO_PERMISSION);
    let other = Call { number: 0, arch: 0xc000_00b7, arguments: [0; 6] };
    assert_eq!(run(&program, other), NO_SUCH_CALL);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn capabilities_open_their_calls() {
    let program = Program::docker_default(["CAP_SYS_ADMIN", "SYS_BOOT"]).unwrap();
    for number in [libc::SYS_mount, libc::SYS_bpf, libc::SYS_clone3, libc::SYS_reboot] {
        assert_eq!(asks(&program, number, 0), ALLOWED, "{number}");
    }
    assert_eq!(asks(&program, libc::SYS_clone, 0x1000_0011), ALLOWED);
    assert_eq!(asks(&program, libc::SYS_init_module, 0), NO_PERMISSION);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_call_of_the_table_gets_its_own_verdict() {
    let all: Vec<_> = table::calls().collect();
    assert!(all.len() > 400, "{}", all.len());
    let program = Program::docker_default([]).unwrap();
    for set in table::NATIVE {
        for call in all.iter().filter(|call| matches!(call.who, "all" | "never")) {
            let Some(number) = call.number(*set) else { continue };
            let got = run(&program, Call { number, arch: set.audit, arguments: [0; 6] });
            let expected = if call.who == "all" { ALLOWED } else { NO_PERMISSION };
            assert_eq!(got, expected, "{} ({number})", call.name);
        }
    }
}

#[test]
fn comparisons_look_at_all_64_bits() {
    const BIG: u64 = 5 << 32 | 7;
    let below = [BIG - 1, 4 << 32 | 9, 0];
    let above = [BIG + 1, 6 << 32 | 1, u64::MAX];
    let holds = |comparison, argument| {
        let conditions = vec![Condition { argument: 0, comparison, value: BIG }];
        let rule = Rule { names: vec!["read".into()], action: Action::Allow, conditions };
        let rules = Rules { default: Action::Errno(1), rules: vec![rule] };
        let program = Program::compile(&rules).unwrap();
        let set = table::NATIVE[0];
        let number = table::by_name("read").unwrap().number(set).unwrap();
        let arguments = [argument, 0, 0, 0, 0, 0];
        run(&program, Call { number, arch: set.audit, arguments }) == ALLOWED
    };
    type Check = (Comparison, fn(u64) -> bool);
    let checks: [Check; 7] = [
        (Comparison::Equal, |x| x == BIG),
        (Comparison::NotEqual, |x| x != BIG),
        (Comparison::Less, |x| x < BIG),
        (Comparison::LessOrEqual, |x| x <= BIG),
        (Comparison::Greater, |x| x > BIG),
        (Comparison::GreaterOrEqual, |x| x >= BIG),
        (Comparison::MaskedEqual(BIG), |x| x & BIG == BIG),
    ];
    for (comparison, expected) in checks {
        for argument in below.into_iter().chain(above).chain([BIG]) {
            assert_eq!(
                holds(comparison, argument),
                expected(argument),
                "{comparison:?} of {argument:#x}"
            );
        }
    }
}

#[test]
fn the_kernel_takes_the_program_and_obeys_it() {
    // Filters stay on the thread that loads them.
    std::thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).unwrap();
        Program::docker_default([]).unwrap().load().unwrap();
        let refused = rustix::system::sethostname(b"x").unwrap_err();
        assert_eq!(refused, rustix::io::Errno::PERM);
        assert!(std::fs::read_to_string("/proc/self/status").is_ok());
    })
    .join()
    .unwrap();
}

#[test]
fn programs_survive_a_file_and_damage_is_seen() {
    let program = Program::docker_default([]).unwrap();
    let mut bytes = Vec::new();
    program.write_to(&mut bytes).unwrap();
    assert_eq!(Program::read_from(bytes.as_slice()).unwrap(), program);
    assert!(program.instructions.len() < 1000, "{}", program.instructions.len());
    for damaged in [&bytes[..0], &bytes[..13], &vec![0; 8 * 4097]] {
        let refused = Program::read_from(damaged).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
