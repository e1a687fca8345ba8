//! Docker's default profile: who may make which call, as rules.
//!
//! The verdicts per call stand in `syscalls.txt`; here are the four calls whose
//! arguments matter.

use std::collections::BTreeSet;

use super::{Action, Comparison, Condition, Rule, Rules, table};

/// Arguments are C `int`s: the kernel looks at the lower half only, so does this.
const INT: Comparison = Comparison::MaskedEqual(0xffff_ffff);
/// Address families that stay closed: the kernel's crypto and virtual machines'
/// sockets, which no network namespace confines.
const CLOSED_FAMILIES: [u64; 2] = [38, 40];
/// Execution domains: Linux, its 32-bit form, each with the old `uname`, and
/// the question which one is set.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Every `CLONE_NEW*` flag.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// `capabilities` without `CAP_`.
pub(super) fn docker_default(capabilities: &BTreeSet<String>) -> Rules {
    let admin = capabilities.contains("SYS_ADMIN");
    let mut allowed = Vec::new();
    let mut rules = Vec::new();
    for call in table::calls() {
        let one = |action, conditions| Rule { names: vec![call.name.into()], action, conditions };
        match call.who {
            "never" => {}
            "all" => allowed.push(call.name.to_owned()),
            "socket" => {
                rules.extend(CLOSED_FAMILIES.map(|family| one(errno(libc::EPERM), int(family))));
                rules.push(one(Action::Allow, vec![]));
            }
            "personality" => {
                rules.extend(PERSONALITIES.map(|domain| one(Action::Allow, int(domain))));
            }
            "clone" | "clone3" if admin => allowed.push(call.name.to_owned()),
            "clone" => rules.push(one(
                Action::Allow,
                vec![Condition {
                    argument: 0,
                    comparison: Comparison::MaskedEqual(NEW_NAMESPACES),
                    value: 0,
                }],
            )),
            // Its flags are in memory, where a filter cannot look; with ENOSYS C
            // libraries use clone.
            "clone3" => rules.push(one(errno(libc::ENOSYS), vec![])),
            needed => {
                if needed.split(',').any(|name| capabilities.contains(name)) {
                    allowed.push(call.name.to_owned());
                }
            }
        }
    }
    rules.push(Rule { names: allowed, action: Action::Allow, conditions: vec![] });
    Rules { default: errno(libc::EPERM), rules }
}

fn int(value: u64) -> Vec<Condition> {
    vec![Condition { argument: 0, comparison: INT, value }]
}

fn errno(number: i32) -> Action {
    Action::Errno(number as u16)
}
