//! System call filters: rules to BPF once, the program to the kernel many times.
//!
//! [`Rules`] say what is allowed, by name, as the OCI runtime spec does;
//! [`Program::compile`] turns them into classic BPF, which can be kept in a file
//! and loaded by each container's process without looking at the rules again.
//!
//! A compiled program searches the system call's number in a balanced tree of
//! ranges. A number that is newer than all we know is answered with ENOSYS, so
//! that a C library falls back instead of giving up; so is every call of an
//! instruction set the rules do not speak about.

use std::io::{self, Read, Write};

mod compile;
mod profile;
mod table;

/// What to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For a call that no rule matches.
    pub default: Action,
    /// In order: of the rules for one call, the first whose conditions hold.
    pub rules: Vec<Rule>,
}

/// One action for some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names of calls. One no architecture here has is skipped.
    pub names: Vec<String>,
    /// What to do.
    pub action: Action,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// The thread is killed.
    KillThread,
    /// The process is killed.
    KillProcess,
    /// The process gets SIGSYS.
    Trap,
    /// It is made, and logged.
    Log,
    /// A tracer decides, told this number; without one, ENOSYS.
    Trace(u16),
}

/// A test of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which, 0 to 5.
    pub argument: u8,
    /// Compared how.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// Comparisons of 64 bits, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Argument = value.
    Equal,
    /// Argument ≠ value.
    NotEqual,
    /// Argument < value.
    Less,
    /// Argument ≤ value.
    LessOrEqual,
    /// Argument > value.
    Greater,
    /// Argument ≥ value.
    GreaterOrEqual,
    /// Argument & mask = value.
    MaskedEqual(u64),
}

/// A compiled filter: classic BPF, ready for `seccomp(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

/// One classic BPF instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// Rules that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// System calls have six arguments.
    #[error("system call argument {0} does not exist")]
    Argument(u8),
    /// The kernel takes [`MAX_INSTRUCTIONS`].
    #[error("the filter needs {0} instructions, the kernel takes {MAX_INSTRUCTIONS}")]
    TooLong(usize),
}

/// `BPF_MAXINSNS`: longer programs are refused by the kernel.
const MAX_INSTRUCTIONS: usize = 4096;
/// Bytes of an instruction in a file.
const INSTRUCTION_SIZE: usize = 8;

impl Rules {
    /// Docker's default profile, for a process with these capabilities
    /// (`SYS_ADMIN`, with or without `CAP_`): some calls are allowed only to who
    /// has the capability for them.
    pub fn docker_default<'a>(capabilities: impl IntoIterator<Item = &'a str>) -> Self {
        let capabilities = capabilities
            .into_iter()
            .map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned())
            .collect();
        profile::docker_default(&capabilities)
    }
}

impl Program {
    /// Compiles rules for this machine's instruction sets (on x86_64 also i386).
    pub fn compile(rules: &Rules) -> Result<Self, CompileError> {
        let instructions = compile::compile(rules, table::NATIVE)?;
        if instructions.len() > MAX_INSTRUCTIONS {
            return Err(CompileError::TooLong(instructions.len()));
        }
        Ok(Self { instructions })
    }

    /// Docker's default profile, compiled.
    pub fn docker_default<'a>(
        capabilities: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, CompileError> {
        Self::compile(&Rules::docker_default(capabilities))
    }

    /// Filters the calling thread from now on, and whatever it executes or forks.
    ///
    /// # Errors
    /// `PermissionDenied` (EACCES) without no-new-privileges and CAP_SYS_ADMIN;
    /// `InvalidInput` if the kernel refuses the program.
    pub fn load(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            // At most MAX_INSTRUCTIONS, which fits.
            len: self.instructions.len() as u16,
            filter: self.instructions.as_ptr().cast::<libc::sock_filter>().cast_mut(),
        };
        // SAFETY: `Instruction` has the layout of `sock_filter`; the kernel copies
        // `len` of them before the call returns and writes to none.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                std::ptr::from_ref(&program),
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Writes it in the form [`Program::read_from`] takes.
    pub fn write_to(&self, mut file: impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * INSTRUCTION_SIZE);
        for one in &self.instructions {
            bytes.extend(one.code.to_ne_bytes());
            bytes.extend([one.jump_true, one.jump_false]);
            bytes.extend(one.k.to_ne_bytes());
        }
        file.write_all(&bytes)
    }

    /// Reads what [`Program::write_to`] wrote. The kernel checks the program
    /// itself when it is loaded.
    ///
    /// # Errors
    /// `InvalidData` if it is empty, too long or not a whole number of
    /// instructions.
    pub fn read_from(file: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let limit = MAX_INSTRUCTIONS * INSTRUCTION_SIZE + 1;
        file.take(limit as u64).read_to_end(&mut bytes)?;
        let (parts, []) = bytes.as_chunks::<INSTRUCTION_SIZE>() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if parts.is_empty() || parts.len() > MAX_INSTRUCTIONS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let instructions = parts
            .iter()
            .map(|&[c0, c1, jump_true, jump_false, k0, k1, k2, k3]| Instruction {
                code: u16::from_ne_bytes([c0, c1]),
                jump_true,
                jump_false,
                k: u32::from_ne_bytes([k0, k1, k2, k3]),
            })
            .collect();
        Ok(Self { instructions })
    }
}

#[cfg(test)]
mod tests;
