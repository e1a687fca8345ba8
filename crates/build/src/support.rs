//! What the language has and this builder does not: each is refused by name
//! and line before anything runs.

use crate::{
    BuildError,
    dockerfile::{Command, Instruction, Source},
    graph::Graph,
};

/// Refuses what the stages to build cannot be given.
pub(crate) fn check(graph: &Graph) -> Result<(), BuildError> {
    graph
        .needed
        .iter()
        .flat_map(|index| &graph.stages[*index].instructions)
        .try_for_each(|instruction| check_command(&instruction.command, instruction))
}

/// Refuses what an instruction cannot be given, also one that is a trigger.
pub(crate) fn check_command(
    command: &Command,
    instruction: &Instruction,
) -> Result<(), BuildError> {
    let refuse = |what: String| Err(BuildError::Unsupported { line: instruction.line, what });
    match command {
        Command::Run(run) => {
            if let Some(mount) = run.mounts.first() {
                return refuse(format!("RUN --mount=type={}", mount.kind.as_str()));
            }
            if let Some(security) = run.security.as_deref().filter(|s| *s != "sandbox") {
                return refuse(format!("RUN --security={security}"));
            }
            if let Some(device) = run.devices.first() {
                return refuse(format!("RUN --device={device}"));
            }
            match run.network.as_deref() {
                None | Some("default" | "none" | "host") => Ok(()),
                Some(network) => refuse(format!("RUN --network={network}")),
            }
        }
        Command::Copy(copy) if copy.parents => refuse("COPY --parents".to_owned()),
        Command::Add(add) => {
            if add.keep_git_dir {
                return refuse("ADD --keep-git-dir".to_owned());
            }
            if add.checksum.is_some() {
                return refuse("ADD --checksum".to_owned());
            }
            let remote = add.sources.iter().find_map(|source| match source {
                Source::Path(path) => remote(path),
                Source::Heredoc(_) => None,
            });
            remote.map_or(Ok(()), refuse)
        }
        _ => Ok(()),
    }
}

/// How to name a source of `ADD` that is not a file of the context.
pub(crate) fn remote(source: &str) -> Option<String> {
    let lower = source.to_ascii_lowercase();
    let web = ["http://", "https://"].iter().any(|scheme| lower.starts_with(scheme));
    let git = lower.starts_with("git@")
        || ["git://", "ssh://", "git+ssh://"].iter().any(|scheme| lower.starts_with(scheme))
        || (web && lower.split('#').next().is_some_and(|url| url.ends_with(".git")));
    if git {
        Some(format!("ADD from a git repository ({source})"))
    } else if web {
        Some(format!("ADD from a URL ({source})"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildRequest, dockerfile};

    fn refused(source: &str) -> String {
        let file = dockerfile::parse(source.as_bytes()).unwrap();
        let graph = Graph::new(&file, &BuildRequest::default()).unwrap();
        check(&graph).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        for (instruction, what) in [
            ("RUN --mount=type=cache,target=/x y", "RUN --mount=type=cache"),
            ("RUN --mount=target=/x y", "RUN --mount=type=bind"),
            ("RUN --security=insecure y", "RUN --security=insecure"),
            ("RUN --network=mine y", "RUN --network=mine"),
            ("COPY --parents a b", "COPY --parents"),
            ("ADD https://a.b/c /c", "ADD from a URL (https://a.b/c)"),
            ("ADD https://a.b/c.git#v1 /c", "ADD from a git repository (https://a.b/c.git#v1)"),
            ("ADD git@a.b:c /c", "ADD from a git repository (git@a.b:c)"),
            ("ADD --checksum=sha256:0 a /c", "ADD --checksum"),
        ] {
            assert_eq!(
                refused(&format!("FROM scratch\n\n{instruction}\n")),
                format!("dockerfile line 3: {what} is not supported by this builder yet")
            );
        }
    }

    #[test]
    fn what_is_not_built_is_not_refused() {
        let source = "FROM a AS x\nRUN --mount=type=ssh y\nFROM scratch\nRUN --network=none z\n";
        let file = dockerfile::parse(source.as_bytes()).unwrap();
        check(&Graph::new(&file, &BuildRequest::default()).unwrap()).unwrap();
    }
}
