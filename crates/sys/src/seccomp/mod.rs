//! System call filters: rules to BPF once, the program to the kernel many times.

use std::io::{self, Read, Write};

mod compile;

/// A compiled filter: classic BPF, ready for `seccomp(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

/// One classic BPF instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// `BPF_MAXINSNS`: longer programs are refused by the kernel.
const MAX_INSTRUCTIONS: usize = 4096;
/// Bytes of an instruction in a file.
const INSTRUCTION_SIZE: usize = 8;

impl Program {
    /// Docker's default profile for this machine's architecture and a process
    /// with these capabilities (names without `CAP_`): some calls are allowed
    /// only to who has the capability for them.
    pub fn docker_default(capabilities: &[&str]) -> Self {
        let _ = capabilities;
        todo!()
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
