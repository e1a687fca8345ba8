//! The classic builder's lines, which clients read.
//!
//! Pure: an event in, lines out. Clients (docker-py, Compose 1) look for
//! `Successfully built` and for the `aux` line, so the text is interface.

use serde_json::json;
use shoal_image::Progress;
use shoal_model::Digest;

use crate::{BuildError, Event, OutputStream};

/// One object of the response stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `{"stream": …}`
    Stream(String),
    /// `{"aux": {"ID": …}}`
    Aux(Digest),
    /// Progress of a pull, rendered like that of `docker pull`.
    Pull(Progress),
    /// `{"errorDetail": …, "error": …}`, the last line.
    Error {
        /// The message.
        message: String,
        /// The exit code of the process that failed.
        code: Option<i64>,
    },
}

impl Line {
    /// The JSON object, without a line end; `None` for [`Line::Pull`], which
    /// the caller renders as it renders pulls.
    pub fn to_json(&self) -> Option<String> {
        let value = match self {
            Self::Stream(text) => json!({ "stream": text }),
            Self::Aux(id) => json!({ "aux": { "ID": id.as_str() } }),
            Self::Pull(_) => return None,
            Self::Error { message, code: Some(code) } => {
                json!({ "errorDetail": { "code": code, "message": message }, "error": message })
            }
            Self::Error { message, code: None } => {
                json!({ "errorDetail": { "message": message }, "error": message })
            }
        };
        Some(value.to_string())
    }
}

/// The lines of an event. A quiet build (`q=1`) shows the image id and nothing
/// else.
pub fn event(event: &Event, quiet: bool) -> Vec<Line> {
    if quiet {
        return match event {
            Event::Built(id) => vec![Line::Stream(format!("{id}\n"))],
            _ => Vec::new(),
        };
    }
    match event {
        Event::Step { number, total, text } => {
            vec![Line::Stream(format!("Step {number}/{total} : {text}")), newline()]
        }
        Event::Pull(progress) => vec![Line::Pull(progress.clone())],
        Event::Triggers(1) => stream("# Executing 1 build trigger\n"),
        Event::Triggers(count) => stream(format!("# Executing {count} build triggers\n")),
        Event::Running { container } => stream(format!(" ---> Running in {}\n", short(container))),
        Event::ContainerRemoved { container } => {
            stream(format!(" ---> Removed intermediate container {}\n", short(container)))
        }
        Event::Output { stream: OutputStream::Stdout, text } => stream(text.clone()),
        Event::Output { stream: OutputStream::Stderr, text } => stream(red(text)),
        Event::CacheHit => stream(" ---> Using cache\n"),
        Event::StepDone(id) => {
            stream(format!(" ---> {}\n", id.as_ref().map_or("", |id| id.short())))
        }
        Event::Warning(text) => stream(red(&format!("[Warning] {text}\n"))),
        Event::Built(id) => vec![
            Line::Aux(id.clone()),
            Line::Stream(format!("Successfully built {}\n", id.short())),
        ],
        Event::Tagged(name) => stream(format!("Successfully tagged {}\n", name.familiar())),
    }
}

/// The line that ends the stream of a build that failed.
pub fn error(error: &BuildError) -> Line {
    Line::Error { message: error.to_string(), code: error.exit_code() }
}

fn stream(text: impl Into<String>) -> Vec<Line> {
    vec![Line::Stream(text.into())]
}

/// Docker sends the end of a step's line as an object of its own.
fn newline() -> Line {
    Line::Stream("\n".to_owned())
}

/// Standard error is red in the classic builder, on the server's side.
fn red(text: &str) -> String {
    format!("\u{1b}[91m{text}\u{1b}[0m")
}

/// The twelve characters of an id that Docker shows.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(events: &[Event]) -> String {
        events
            .iter()
            .flat_map(|e| event(e, false))
            .filter_map(|line| match line {
                Line::Stream(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_build_reads_like_docker() {
        let id = Digest::sha256([0xab; 32]);
        let events = [
            Event::Step { number: 1, total: 2, text: "FROM python".into() },
            Event::StepDone(Some(id.clone())),
            Event::Step { number: 2, total: 2, text: "RUN x".into() },
            Event::CacheHit,
            Event::StepDone(Some(id.clone())),
            Event::Built(id),
        ];
        assert_eq!(
            text(&events),
            "Step 1/2 : FROM python\n ---> abababababab\nStep 2/2 : RUN x\n ---> Using cache\n \
             ---> abababababab\nSuccessfully built abababababab\n"
        );
    }

    #[test]
    fn a_quiet_build_shows_the_id() {
        let id = Digest::sha256([1; 32]);
        assert_eq!(event(&Event::CacheHit, true), []);
        assert_eq!(event(&Event::Built(id.clone()), true), [Line::Stream(format!("{id}\n"))]);
    }

    #[test]
    fn errors_carry_the_exit_code() {
        let failed = BuildError::Run { command: "/bin/sh -c exit 3".into(), code: 3 };
        let json: serde_json::Value =
            serde_json::from_str(&error(&failed).to_json().unwrap()).unwrap();
        let message = "The command '/bin/sh -c exit 3' returned a non-zero code: 3";
        assert_eq!(json, json!({"errorDetail": {"code": 3, "message": message}, "error": message}));
    }
}
