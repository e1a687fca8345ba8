//! The Dockerfile language: text in, typed instructions out.
//!
//! Pure. The whole language is read, also what the solver does not carry out
//! yet: refusing is the solver's business, and it names the line.

mod command;
mod directive;
mod error;
mod flags;
mod healthcheck;
mod heredoc;
mod instruction;
mod lines;
mod render;
mod words;

pub use command::{
    Add, Arg, Command, CommandLine, Copy, From, Healthcheck, Heredoc, Instruction, Mount,
    MountKind, Onbuild, Pair, Run, Source,
};
pub use directive::Directive;
pub use error::ParseError;
pub use lines::MAX_DOCKERFILE_BYTES;

/// A Dockerfile that was read. It displays as a Dockerfile that reads the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The parser directives at its head.
    pub directives: Vec<Directive>,
    /// The escape character: `\` or `` ` ``.
    pub escape: char,
    /// The instructions in order; at least one.
    pub instructions: Vec<Instruction>,
    /// What Docker warns of, with the line.
    pub warnings: Vec<(usize, String)>,
}

/// Reads a Dockerfile.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, ParseError> {
    let lines::Lines { directives, escape, lines, empty_continuations } = lines::read(bytes)?;
    let instructions = lines
        .into_iter()
        .map(|line| {
            let command = instruction::interpret(&line.text, line.heredocs, escape)
                .map_err(|message| ParseError::new(line.line, message))?;
            Ok(Instruction { line: line.line, end_line: line.end_line, source: line.text, command })
        })
        .collect::<Result<Vec<_>, ParseError>>()?;
    if instructions.is_empty() {
        return Err(ParseError::new(1, "file with no instructions"));
    }
    let warnings = empty_continuations
        .into_iter()
        .map(|line| {
            (line, "Empty continuation lines will become errors in a future release".into())
        })
        .collect();
    Ok(Dockerfile { directives, escape, instructions, warnings })
}

/// Reads an `ONBUILD` trigger of a base image.
///
/// # Errors
/// If it is not exactly one instruction.
pub fn parse_trigger(text: &str) -> Result<Instruction, ParseError> {
    let mut file = parse(text.as_bytes())?;
    if file.instructions.len() != 1 {
        return Err(ParseError::new(1, "an ONBUILD trigger is one instruction"));
    }
    Ok(file.instructions.remove(0))
}

#[cfg(test)]
mod tests;
