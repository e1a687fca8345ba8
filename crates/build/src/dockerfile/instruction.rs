//! From a logical line to an instruction with its types.

use super::command::{
    Add, Arg, Command, CommandLine, Copy, From, Heredoc, Onbuild, Pair, Run, Source,
};
use super::flags::{self, Flags};
use super::{healthcheck, heredoc, words};

/// Reads one instruction.
pub(crate) fn interpret(
    text: &str,
    heredocs: Vec<Heredoc>,
    escape: char,
) -> Result<Command, String> {
    let (word, rest) = words::split_first(text);
    let name = word.to_ascii_uppercase();
    if !NAMES.contains(&name.as_str()) {
        return Err(unknown(word, &name));
    }
    let (given, arguments) = flags::take(rest);
    let flags = Flags::check(&name, &given)?;
    let arguments = arguments.trim();
    match name.as_str() {
        "ADD" => add(arguments, &flags, heredocs).map(Command::Add),
        "ARG" => arg(arguments, escape).map(Command::Arg),
        "CMD" => command_line(arguments).map(Command::Cmd),
        "COPY" => copy(arguments, &flags, heredocs).map(Command::Copy),
        "ENTRYPOINT" => command_line(arguments).map(Command::Entrypoint),
        "ENV" => pairs("ENV", arguments, escape).map(Command::Env),
        "EXPOSE" => expose(arguments).map(Command::Expose),
        "FROM" => from(arguments, &flags).map(Command::From),
        "HEALTHCHECK" => healthcheck::read(arguments, &flags).map(Command::Healthcheck),
        "LABEL" => pairs("LABEL", arguments, escape).map(Command::Label),
        "MAINTAINER" => one("MAINTAINER", arguments).map(Command::Maintainer),
        "ONBUILD" => onbuild(arguments, heredocs, escape).map(Command::Onbuild),
        "RUN" => run(arguments, &flags, heredocs).map(Command::Run),
        "SHELL" => shell(arguments).map(Command::Shell),
        "STOPSIGNAL" => one("STOPSIGNAL", arguments).map(Command::Stopsignal),
        "USER" => one("USER", arguments).map(Command::User),
        "VOLUME" => volume(arguments).map(Command::Volume),
        "WORKDIR" => one("WORKDIR", arguments).map(Command::Workdir),
        _ => Err(unknown(word, &name)),
    }
}

const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Docker's words for a word that is no instruction, with the one meant if it
/// is a letter or two away.
fn unknown(word: &str, upper: &str) -> String {
    let near = NAMES.iter().find(|name| distance(name, upper) <= name.len().min(6) / 3);
    match near {
        Some(name) => format!("unknown instruction: {word} (did you mean {name}?)"),
        None => format!("unknown instruction: {word}"),
    }
}

/// Letters to change, add or remove; for words of a few letters only.
fn distance(a: &str, b: &str) -> usize {
    const TOO_LONG_TO_MEAN_ONE: usize = 16;
    if b.len() > TOO_LONG_TO_MEAN_ONE {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn one(name: &str, arguments: &str) -> Result<String, String> {
    if arguments.is_empty() {
        return Err(format!("{name} requires exactly one argument"));
    }
    Ok(arguments.to_owned())
}

fn at_least_one(name: &str) -> String {
    format!("{name} requires at least one argument")
}

fn from(arguments: &str, flags: &Flags) -> Result<From, String> {
    let words = words::split_blanks(arguments);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
            (image, Some(stage_name(name)?))
        }
        _ => return Err("FROM requires either one or three arguments".to_owned()),
    };
    Ok(From { image: image.clone(), platform: flags.value("platform"), name })
}

fn stage_name(name: &str) -> Result<String, String> {
    let lower = name.to_lowercase();
    let well_formed = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if well_formed {
        Ok(lower)
    } else {
        Err(format!(
            "invalid name for build stage: {name:?}, name can't start with a number or contain \
             symbols"
        ))
    }
}

fn arg(arguments: &str, escape: char) -> Result<Vec<Arg>, String> {
    let words = words::split_quoted(arguments, escape);
    if words.is_empty() {
        return Err(at_least_one("ARG"));
    }
    words
        .into_iter()
        .map(|word| {
            let (name, default) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if name.is_empty() {
                return Err("ARG names can not be blank".to_owned());
            }
            Ok(Arg { name, default })
        })
        .collect()
}

fn pairs(name: &str, arguments: &str, escape: char) -> Result<Vec<Pair>, String> {
    let words = words::split_quoted(arguments, escape);
    let Some(first) = words.first() else {
        return Err(at_least_one(name));
    };
    if !first.contains('=') {
        let (key, value) = words::split_first(arguments);
        if value.is_empty() {
            return Err(format!("{name} must have two arguments"));
        }
        return Ok(vec![Pair { key: key.to_owned(), value: value.to_owned(), legacy: true }]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(format!("{name} names can not be blank")),
            Some((key, value)) => {
                Ok(Pair { key: key.to_owned(), value: value.to_owned(), legacy: false })
            }
            None => Err(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            )),
        })
        .collect()
}

fn command_line(arguments: &str) -> Result<CommandLine, String> {
    Ok(match words::json_list(arguments)? {
        Some(list) => CommandLine::Exec(list),
        None => CommandLine::Shell(arguments.to_owned()),
    })
}

fn run(arguments: &str, flags: &Flags, heredocs: Vec<Heredoc>) -> Result<Run, String> {
    if arguments.is_empty() {
        return Err(at_least_one("RUN"));
    }
    Ok(Run {
        command: command_line(arguments)?,
        heredocs,
        mounts: flags.values("mount").iter().map(|v| flags::mount(v)).collect::<Result<_, _>>()?,
        network: flags.value("network"),
        security: flags.value("security"),
        devices: flags.values("device"),
    })
}

/// Sources and destination of `COPY` and `ADD`.
fn paths(
    name: &str,
    arguments: &str,
    heredocs: Vec<Heredoc>,
) -> Result<(Vec<Source>, String), String> {
    let mut words = match words::json_list(arguments)? {
        Some(list) => list,
        None => words::split_blanks(arguments),
    };
    if words.len() < 2 {
        return Err(format!(
            "{name} requires at least two arguments, but only one was provided. Destination could \
             not be determined"
        ));
    }
    let destination = words.pop().unwrap_or_default();
    if heredoc::parse(&destination).is_some() {
        return Err(format!("{name} cannot accept a heredoc as a destination"));
    }
    let mut heredocs = heredocs.into_iter();
    let sources = words
        .into_iter()
        .map(|word| match heredoc::parse(&word).and_then(|_| heredocs.next()) {
            Some(doc) => Source::Heredoc(doc),
            None => Source::Path(word),
        })
        .collect();
    if heredocs.next().is_some() {
        return Err(format!("{name} requires the name of a heredoc to be one word"));
    }
    Ok((sources, destination))
}

fn copy(arguments: &str, flags: &Flags, heredocs: Vec<Heredoc>) -> Result<Copy, String> {
    let (sources, destination) = paths("COPY", arguments, heredocs)?;
    Ok(Copy {
        sources,
        destination,
        from: flags.value("from"),
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.values("exclude"),
    })
}

fn add(arguments: &str, flags: &Flags, heredocs: Vec<Heredoc>) -> Result<Add, String> {
    let (sources, destination) = paths("ADD", arguments, heredocs)?;
    Ok(Add {
        sources,
        destination,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.switch("link").unwrap_or(false),
        keep_git_dir: flags.switch("keep-git-dir").unwrap_or(false),
        checksum: flags.value("checksum"),
        unpack: flags.switch("unpack"),
        exclude: flags.values("exclude"),
    })
}

fn expose(arguments: &str) -> Result<Vec<String>, String> {
    let mut ports = words::split_blanks(arguments);
    if ports.is_empty() {
        return Err(at_least_one("EXPOSE"));
    }
    ports.sort();
    Ok(ports)
}

fn volume(arguments: &str) -> Result<Vec<String>, String> {
    let list = match words::json_list(arguments)? {
        Some(list) => list,
        None => words::split_blanks(arguments),
    };
    if list.is_empty() {
        return Err(at_least_one("VOLUME"));
    }
    list.into_iter()
        .map(|path| match path.trim() {
            "" => Err("VOLUME specified can not be an empty string".to_owned()),
            path => Ok(path.to_owned()),
        })
        .collect()
}

fn shell(arguments: &str) -> Result<Vec<String>, String> {
    match words::json_list(arguments)? {
        Some(list) if list.is_empty() => Err(at_least_one("SHELL")),
        Some(list) => Ok(list),
        None => Err("SHELL requires the arguments to be in JSON form".to_owned()),
    }
}

fn onbuild(arguments: &str, heredocs: Vec<Heredoc>, escape: char) -> Result<Onbuild, String> {
    let (word, _) = words::split_first(arguments);
    match word.to_ascii_uppercase().as_str() {
        "" => return Err(at_least_one("ONBUILD")),
        "ONBUILD" => {
            return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned());
        }
        trigger @ ("FROM" | "MAINTAINER") => {
            return Err(format!("{trigger} isn't allowed as an ONBUILD trigger"));
        }
        _ => {}
    }
    let mut trigger = arguments.to_owned();
    for doc in &heredocs {
        trigger.push('\n');
        trigger.push_str(&doc.content);
        trigger.push_str(&doc.name);
    }
    let command = Box::new(interpret(arguments, heredocs, escape)?);
    Ok(Onbuild { trigger, command })
}
