//! From an instruction to a step: variables expanded, forms chosen, values
//! checked.

use std::{collections::BTreeMap, path::Path};

use shoal_image::Healthcheck;
use shoal_model::Signal;

use super::{Change, State, ports};
use crate::{
    Script,
    dockerfile::{self, Command, CommandLine, Heredoc, Run, Source},
    expand,
    tree::clean,
};

/// What an instruction means in a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A change of the configuration.
    Change(Change),
    /// `WORKDIR`: the absolute path, which is made if it is missing.
    Workdir(String),
    /// `COPY` and `ADD`.
    Copy(CopyStep),
    /// `RUN`
    Run {
        /// Program and arguments.
        arguments: Vec<String>,
        /// What it finds below `/dev/pipes`.
        scripts: Vec<Script>,
        /// `--network`
        network: Option<String>,
    },
}

/// `COPY` or `ADD`, ready to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// `COPY` or `ADD`.
    pub instruction: &'static str,
    /// What to copy.
    pub sources: Vec<CopySource>,
    /// Absolute; ends with `/` if it must be a directory.
    pub destination: String,
    /// As written, for the history.
    pub written_destination: String,
    /// `--from`
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`, as bits.
    pub chmod: Option<u32>,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// Local archives are unpacked.
    pub unpack: bool,
}

impl CopyStep {
    /// What of it counts for the cache, beside what the sources are.
    pub(crate) fn key_parts(&self) -> Vec<String> {
        let Self {
            instruction,
            sources,
            destination,
            written_destination,
            from,
            chown,
            chmod,
            exclude,
            unpack,
        } = self;
        let given =
            |text: &Option<String>| text.as_ref().map_or_else(String::new, |t| format!("={t}"));
        let mut parts = vec![
            (*instruction).to_owned(),
            destination.clone(),
            written_destination.clone(),
            given(from),
            given(chown),
            chmod.map_or_else(String::new, |mode| format!("{mode:o}")),
            unpack.to_string(),
            exclude.len().to_string(),
        ];
        parts.extend(exclude.iter().cloned());
        parts.push(sources.len().to_string());
        for source in sources {
            let [kind, name, text] = match source {
                CopySource::Path(path) => ["path", path, ""],
                CopySource::Content { name, text } => ["content", name, text],
            };
            parts.extend([kind, name, text].map(str::to_owned));
        }
        parts
    }
}

/// Something to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or a pattern.
    Path(String),
    /// A file of the Dockerfile itself.
    Content {
        /// Its name.
        name: String,
        /// What is in it.
        text: String,
    },
}

/// What the instructions of a stage can see beyond the stage itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// `--build-arg`
    pub(crate) build_args: &'a BTreeMap<String, Option<String>>,
    /// The `ARG`s before the first `FROM`, and those of the platform.
    pub(crate) global_args: &'a BTreeMap<String, Option<String>>,
    /// The escape character.
    pub(crate) escape: char,
}

/// Reads an instruction in the light of a stage.
///
/// # Errors
/// In Docker's words, without the line.
pub(crate) fn resolve(command: &Command, state: &State, scope: Scope<'_>) -> Result<Step, String> {
    let get = |name: &str| state.variable(name);
    let word = |text: &str| expand::word(text, scope.escape, &get);
    let all = |list: &[String]| list.iter().map(|text| word(text)).collect::<Result<Vec<_>, _>>();
    let pairs = |list: &[dockerfile::Pair]| {
        list.iter()
            .map(|pair| Ok((word(&pair.key)?, word(&pair.value)?)))
            .collect::<Result<Vec<_>, String>>()
    };
    Ok(match command {
        Command::From(_) => return Err("FROM inside of a stage".to_owned()),
        Command::Add(add) => Step::Copy(CopyStep {
            instruction: "ADD",
            sources: sources(&add.sources, state, scope)?,
            destination: destination(&word(&add.destination)?, state),
            written_destination: word(&add.destination)?,
            from: None,
            chown: add.chown.as_deref().map(word).transpose()?,
            chmod: add.chmod.as_deref().map(|text| mode(&word(text)?)).transpose()?,
            exclude: all(&add.exclude)?,
            unpack: add.unpack != Some(false),
        }),
        Command::Copy(copy) => Step::Copy(CopyStep {
            instruction: "COPY",
            sources: sources(&copy.sources, state, scope)?,
            destination: destination(&word(&copy.destination)?, state),
            written_destination: word(&copy.destination)?,
            from: copy.from.clone(),
            chown: copy.chown.as_deref().map(word).transpose()?,
            chmod: copy.chmod.as_deref().map(|text| mode(&word(text)?)).transpose()?,
            exclude: all(&copy.exclude)?,
            unpack: false,
        }),
        Command::Run(run) => self::run(run, state)?,
        Command::Workdir(path) => Step::Workdir(workdir(&word(path)?, state)?),
        Command::Arg(args) => Step::Change(arg(args, state, scope)?),
        Command::Cmd(line) => Step::Change(Change::Cmd(command_line(line, state))),
        Command::Entrypoint(line) => {
            let empty = matches!(line, CommandLine::Exec(list) if list.is_empty())
                || matches!(line, CommandLine::Shell(text) if text.is_empty());
            let list = (!empty).then(|| command_line(line, state));
            Step::Change(Change::Entrypoint(list))
        }
        Command::Env(list) => {
            let list = pairs(list)?;
            if list.iter().any(|(key, _)| key.is_empty()) {
                return Err("ENV names can not be blank".to_owned());
            }
            Step::Change(Change::Env(list))
        }
        Command::Expose(list) => {
            let mut declared = Vec::new();
            for text in list {
                declared.extend(expand::words(text, scope.escape, &get)?);
            }
            let ports =
                declared.iter().map(|text| ports::parse(text)).collect::<Result<Vec<_>, _>>()?;
            Step::Change(Change::Expose { declared, ports: ports.concat() })
        }
        Command::Healthcheck(check) => Step::Change(Change::Healthcheck(healthcheck(check))),
        Command::Label(list) => Step::Change(Change::Label(pairs(list)?)),
        Command::Maintainer(name) => Step::Change(Change::Maintainer(name.clone())),
        Command::Onbuild(onbuild) => Step::Change(Change::Onbuild(onbuild.trigger.clone())),
        Command::Shell(list) => Step::Change(Change::Shell(list.clone())),
        Command::Stopsignal(text) => {
            let text = word(text)?;
            text.parse::<Signal>().map_err(|_| format!("Invalid signal: {text}"))?;
            Step::Change(Change::Stopsignal(text))
        }
        Command::User(user) => Step::Change(Change::User(word(user)?)),
        Command::Volume(list) => {
            let list = all(list)?;
            if list.iter().any(|path| path.trim().is_empty()) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            Step::Change(Change::Volume(list))
        }
    })
}

fn arg(args: &[dockerfile::Arg], state: &State, scope: Scope<'_>) -> Result<Change, String> {
    let mut declared = Vec::new();
    let mut values: Vec<(String, Option<String>)> = Vec::new();
    for arg in args {
        let get = |name: &str| {
            let earlier = values.iter().rev().find(|(key, _)| key == name);
            state.variable(name).or_else(|| earlier.and_then(|(_, value)| value.clone()))
        };
        let default = match &arg.default {
            Some(text) => Some(expand::word(text, scope.escape, &get)?),
            None => None,
        };
        declared.push(match &default {
            Some(value) => format!("{}={value}", arg.name),
            None => arg.name.clone(),
        });
        let value = match (scope.build_args.get(&arg.name), default) {
            (Some(Some(given)), _) => Some(given.clone()),
            (_, Some(default)) => Some(default),
            (_, None) => scope.global_args.get(&arg.name).cloned().flatten(),
        };
        values.push((arg.name.clone(), value));
    }
    Ok(Change::Arg { declared, values })
}

fn sources(sources: &[Source], state: &State, scope: Scope<'_>) -> Result<Vec<CopySource>, String> {
    let get = |name: &str| state.variable(name);
    sources
        .iter()
        .map(|source| {
            Ok(match source {
                Source::Path(path) => CopySource::Path(expand::word(path, scope.escape, &get)?),
                Source::Heredoc(doc) => {
                    let text = doc.text();
                    let text = if doc.expand {
                        expand::document(&text, scope.escape, &get)?
                    } else {
                        text
                    };
                    CopySource::Content { name: doc.name.clone(), text }
                }
            })
        })
        .collect()
}

/// The absolute path of a destination, its final `/` kept; `.` and what ends
/// with it are directories, too.
fn destination(text: &str, state: &State) -> String {
    let is_directory =
        text.is_empty() || text.ends_with('/') || text == "." || text.ends_with("/.");
    let mut path = absolute(text, state);
    if is_directory && !path.ends_with('/') {
        path.push('/');
    }
    path
}

fn workdir(text: &str, state: &State) -> Result<String, String> {
    if text.is_empty() {
        return Err("cannot normalize nothing".to_owned());
    }
    Ok(absolute(text, state))
}

/// A path of the image, relative ones below the working directory.
fn absolute(text: &str, state: &State) -> String {
    let joined = Path::new("/").join(&state.config.config.working_dir).join(text);
    format!("/{}", clean(&joined).display())
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )),
    }
}

fn command_line(line: &CommandLine, state: &State) -> Vec<String> {
    match line {
        CommandLine::Exec(list) => list.clone(),
        CommandLine::Shell(text) => {
            let mut list = state.shell();
            if !text.is_empty() {
                list.push(text.clone());
            }
            list
        }
    }
}

/// A `RUN` whose only word opens a here-document runs that document: as a
/// script of its own if it says by which program, else in the shell. All other
/// documents are the shell's to read.
fn run(run: &Run, state: &State) -> Result<Step, String> {
    let network = run.network.clone();
    let CommandLine::Shell(text) = &run.command else {
        let arguments = command_line(&run.command, state);
        if arguments.is_empty() {
            return Err("RUN requires at least one argument".to_owned());
        }
        return Ok(Step::Run { arguments, scripts: Vec::new(), network });
    };
    let mut scripts = Vec::new();
    let mut arguments = state.shell();
    match run.heredocs.as_slice() {
        [only] if is_only_word(text, only) => {
            let content = only.text();
            if content.starts_with("#!") {
                let path = format!("/dev/pipes/{}", script_name(&only.name)?);
                arguments = vec![path.clone()];
                scripts.push(Script { path, content });
            } else {
                arguments.push(content);
            }
        }
        documents => {
            let mut whole = text.clone();
            for doc in documents {
                whole.push('\n');
                whole.push_str(&doc.content);
                whole.push_str(&doc.name);
            }
            arguments.push(whole);
        }
    }
    Ok(Step::Run { arguments, scripts, network })
}

/// Whether the command is `<<NAME` and nothing else.
fn is_only_word(text: &str, doc: &Heredoc) -> bool {
    let Some(word) = text.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")
    else {
        return false;
    };
    let bare: String = word.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    bare.strip_prefix('-').unwrap_or(&bare) == doc.name || bare == doc.name
}

fn script_name(name: &str) -> Result<&str, String> {
    if name.contains('/') || name == "." || name == ".." {
        return Err(format!("a script cannot have the name {name:?}"));
    }
    Ok(name)
}

fn healthcheck(check: &dockerfile::Healthcheck) -> Healthcheck {
    match check {
        dockerfile::Healthcheck::None => {
            Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }
        }
        dockerfile::Healthcheck::Command {
            command,
            interval_ns,
            timeout_ns,
            start_period_ns,
            start_interval_ns,
            retries,
        } => {
            let test = match command {
                CommandLine::Exec(list) => [&["CMD".to_owned()][..], list.as_slice()].concat(),
                CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            };
            Healthcheck {
                test,
                interval: *interval_ns,
                timeout: *timeout_ns,
                start_period: *start_period_ns,
                start_interval: *start_interval_ns,
                retries: i64::from(*retries),
            }
        }
    }
}
