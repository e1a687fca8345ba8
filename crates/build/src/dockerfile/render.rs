//! From types back to text that reads the same.

use std::fmt::{self, Display, Formatter, Write};

use super::command::{Arg, Command, CommandLine, Healthcheck, Heredoc, Mount, Pair, Source};
use super::{Dockerfile, heredoc, lines};

impl Display for Dockerfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for directive in &self.directives {
            writeln!(f, "# {}={}", directive.name, directive.value)?;
        }
        for instruction in &self.instructions {
            let text = instruction.command.to_string();
            let (line, contents) = text.split_at(text.find('\n').unwrap_or(text.len()));
            let end =
                if lines::strip_continuation(line, self.escape).1 { NO_CONTINUATION } else { "" };
            writeln!(f, "{line}{end}{contents}")?;
        }
        Ok(())
    }
}

/// Behind an escape character that ends an instruction: a blank that is
/// trimmed like any other, but after which no line goes on.
const NO_CONTINUATION: &str = "\u{b}";

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(name)?;
        match self {
            Self::Add(add) => {
                value(f, "chown", add.chown.as_ref())?;
                value(f, "chmod", add.chmod.as_ref())?;
                switch(f, "link", add.link)?;
                switch(f, "keep-git-dir", add.keep_git_dir)?;
                value(f, "checksum", add.checksum.as_ref())?;
                value(f, "unpack", add.unpack.map(|unpack| unpack.to_string()).as_ref())?;
                values(f, "exclude", &add.exclude)?;
                paths(f, &add.sources, &add.destination)
            }
            Self::Arg(args) => shell_words(f, args.iter().map(arg)),
            Self::Cmd(line) | Self::Entrypoint(line) => command_line(f, line),
            Self::Copy(copy) => {
                value(f, "from", copy.from.as_ref())?;
                value(f, "chown", copy.chown.as_ref())?;
                value(f, "chmod", copy.chmod.as_ref())?;
                switch(f, "link", copy.link)?;
                switch(f, "parents", copy.parents)?;
                values(f, "exclude", &copy.exclude)?;
                paths(f, &copy.sources, &copy.destination)
            }
            Self::Env(pairs) | Self::Label(pairs) => shell_words(f, pairs.iter().map(pair)),
            Self::Expose(list) => shell_words(f, list.iter().cloned()),
            Self::From(from) => {
                value(f, "platform", from.platform.as_ref())?;
                shell_text(f, &from.image)?;
                from.name.iter().try_for_each(|name| write!(f, " AS {name}"))
            }
            Self::Healthcheck(check) => healthcheck(f, check),
            Self::Maintainer(text)
            | Self::Stopsignal(text)
            | Self::User(text)
            | Self::Workdir(text) => shell_text(f, text),
            Self::Onbuild(onbuild) => write!(f, " {}", onbuild.trigger),
            Self::Run(run) => {
                run.mounts.iter().try_for_each(|m| value(f, "mount", Some(&mount(m))))?;
                value(f, "network", run.network.as_ref())?;
                value(f, "security", run.security.as_ref())?;
                values(f, "device", &run.devices)?;
                command_line(f, &run.command)?;
                run.heredocs.iter().try_for_each(|doc| contents(f, doc))
            }
            Self::Shell(list) | Self::Volume(list) => json(f, list),
        }
    }
}

fn value(f: &mut Formatter<'_>, name: &str, value: Option<&String>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    write!(f, " --{name}=")?;
    for c in value.chars() {
        if c.is_whitespace() || matches!(c, '\'' | '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    Ok(())
}

fn values(f: &mut Formatter<'_>, name: &str, list: &[String]) -> fmt::Result {
    list.iter().try_for_each(|item| value(f, name, Some(item)))
}

fn switch(f: &mut Formatter<'_>, name: &str, on: bool) -> fmt::Result {
    if on { write!(f, " --{name}") } else { Ok(()) }
}

fn json(f: &mut Formatter<'_>, list: &[String]) -> fmt::Result {
    write!(f, " {}", serde_json::Value::from(list))
}

fn arg(arg: &Arg) -> String {
    match &arg.default {
        Some(default) => format!("{}={default}", arg.name),
        None => arg.name.clone(),
    }
}

fn pair(pair: &Pair) -> String {
    let separator = match pair.legacy {
        // The first blank belongs to the escape character.
        true if pair.key.ends_with(['\\', '`']) => "  ",
        true => " ",
        false => "=",
    };
    format!("{}{separator}{}", pair.key, pair.value)
}

fn shell_words(f: &mut Formatter<'_>, words: impl Iterator<Item = String>) -> fmt::Result {
    shell_text(f, &words.collect::<Vec<_>>().join(" "))
}

/// Text behind the flags; a text that looks like one more needs the mark that
/// ends them.
fn shell_text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let mark = if text.starts_with("--") { " --" } else { "" };
    write!(f, "{mark} {text}")
}

fn command_line(f: &mut Formatter<'_>, line: &CommandLine) -> fmt::Result {
    match line {
        CommandLine::Exec(list) => json(f, list),
        CommandLine::Shell(text) if text.is_empty() => Ok(()),
        CommandLine::Shell(text) => shell_text(f, text),
    }
}

fn paths(f: &mut Formatter<'_>, sources: &[Source], destination: &str) -> fmt::Result {
    let mut list: Vec<String> = sources
        .iter()
        .map(|source| match source {
            Source::Path(path) => path.clone(),
            Source::Heredoc(doc) => opening(doc),
        })
        .collect();
    list.push(destination.to_owned());
    let opens = |source: &Source| match source {
        Source::Path(path) => heredoc::parse(path).is_some(),
        Source::Heredoc(_) => false,
    };
    let is_word = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
    let plain = list.iter().all(is_word)
        && !sources.iter().any(opens)
        && !list[0].starts_with('[')
        && !list[0].starts_with("--");
    if plain {
        write!(f, " {}", list.join(" "))?;
    } else {
        json(f, &list)?;
    }
    sources.iter().try_for_each(|source| match source {
        Source::Heredoc(doc) => contents(f, doc),
        Source::Path(_) => Ok(()),
    })
}

fn opening(doc: &Heredoc) -> String {
    let descriptor = if doc.descriptor == 0 { String::new() } else { doc.descriptor.to_string() };
    let dash = if doc.strip_tabs { "-" } else { "" };
    if doc.expand {
        return format!("{descriptor}<<{dash}{}", doc.name);
    }
    let quote = if doc.name.contains('\'') { '"' } else { '\'' };
    format!("{descriptor}<<{dash}{quote}{}{quote}", doc.name)
}

fn contents(f: &mut Formatter<'_>, doc: &Heredoc) -> fmt::Result {
    write!(f, "\n{}{}", doc.content, doc.name)
}

fn mount(mount: &Mount) -> String {
    let mut text = format!("type={}", mount.kind.as_str());
    for (key, value) in &mount.fields {
        let field = match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        };
        if field.contains([',', '"']) {
            text.push_str(&format!(",\"{}\"", field.replace('"', "\"\"")));
        } else {
            text.push_str(&format!(",{field}"));
        }
    }
    text
}

fn healthcheck(f: &mut Formatter<'_>, check: &Healthcheck) -> fmt::Result {
    let Healthcheck::Command {
        command,
        interval_ns,
        timeout_ns,
        start_period_ns,
        start_interval_ns,
        retries,
    } = check
    else {
        return f.write_str(" NONE");
    };
    let times = [
        ("interval", interval_ns),
        ("timeout", timeout_ns),
        ("start-period", start_period_ns),
        ("start-interval", start_interval_ns),
    ];
    for (name, ns) in times.into_iter().filter(|(_, ns)| **ns != 0) {
        write!(f, " --{name}={ns}ns")?;
    }
    if *retries != 0 {
        write!(f, " --retries={retries}")?;
    }
    f.write_str(" CMD")?;
    match command {
        CommandLine::Exec(list) => json(f, list),
        CommandLine::Shell(text) => write!(f, " {text}"),
    }
}
