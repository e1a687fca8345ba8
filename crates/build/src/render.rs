//! The classic builder's lines, which clients read.
//!
//! Pure: an event in, lines out. Clients (docker-py, Compose 1) look for
//! `Successfully built` and for the `aux` line, so the text is interface.

use std::collections::VecDeque;

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

/// Bytes of a quiet build's output that are kept in case it fails; older lines
/// go first.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;

/// The lines of one build. A quiet one (`q=1`) shows the image id and nothing
/// else, unless it fails: then it shows what it did before, as Docker does.
#[derive(Debug, Default)]
pub struct Renderer {
    quiet: bool,
    held: VecDeque<String>,
    held_bytes: usize,
    lost: bool,
}

impl Renderer {
    /// For a build that is quiet or not.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// The lines of an event.
    pub fn event(&mut self, event: &Event) -> Vec<Line> {
        match event {
            _ if !self.quiet => lines(event),
            Event::Built(id) => stream(format!("{id}\n")),
            event => {
                self.hold(lines(event));
                Vec::new()
            }
        }
    }

    /// The lines that end the stream of a build that failed.
    pub fn error(&mut self, error: &BuildError) -> Vec<Line> {
        let lost = self.lost.then(|| "[the output before this was left out]\n".to_owned());
        let held = lost.into_iter().chain(std::mem::take(&mut self.held)).map(Line::Stream);
        let end = Line::Error { message: error.to_string(), code: error.exit_code() };
        held.chain([end]).collect()
    }

    fn hold(&mut self, lines: Vec<Line>) {
        for line in lines {
            let Line::Stream(text) = line else { continue };
            self.held_bytes += text.len();
            self.held.push_back(text);
        }
        while self.held_bytes > MAX_HELD_BYTES {
            let Some(oldest) = self.held.pop_front() else { break };
            self.held_bytes -= oldest.len();
            self.lost = true;
        }
    }
}

/// The lines of an event of a build that is not quiet.
pub fn lines(event: &Event) -> Vec<Line> {
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
            .flat_map(lines)
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
    fn a_quiet_build_shows_the_id_or_why_it_failed() {
        let id = Digest::sha256([1; 32]);
        let mut quiet = Renderer::new(true);
        assert_eq!(quiet.event(&Event::CacheHit), []);
        assert_eq!(quiet.event(&Event::Built(id.clone())), [Line::Stream(format!("{id}\n"))]);
        let ended = quiet.error(&BuildError::Cancelled);
        assert_eq!(ended[0], Line::Stream(" ---> Using cache\n".into()));
        assert!(matches!(&ended[1..], [Line::Error { .. }]));
    }

    #[test]
    fn a_quiet_build_keeps_the_end_of_much_output() {
        let mut quiet = Renderer::new(true);
        for number in 0..5 {
            let text = format!("{number}").repeat(1024 * 1024);
            assert_eq!(quiet.event(&Event::Output { stream: OutputStream::Stdout, text }), []);
        }
        let ended = quiet.error(&BuildError::Cancelled);
        assert_eq!(ended[0], Line::Stream("[the output before this was left out]\n".into()));
        assert!(matches!(&ended[1], Line::Stream(text) if text.starts_with('1')));
        assert_eq!(ended.len(), 6);
    }

    #[test]
    fn errors_carry_the_exit_code() {
        let failed = BuildError::Run { command: "/bin/sh -c exit 3".into(), code: 3 };
        let json: serde_json::Value =
            serde_json::from_str(&Renderer::new(false).error(&failed)[0].to_json().unwrap())
                .unwrap();
        let message = "The command '/bin/sh -c exit 3' returned a non-zero code: 3";
        assert_eq!(json, json!({"errorDetail": {"code": 3, "message": message}, "error": message}));
    }
}
