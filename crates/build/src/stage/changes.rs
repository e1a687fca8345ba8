//! Instructions outside of a Dockerfile: `docker import --change`.

use std::collections::BTreeMap;

use shoal_image::RunConfig;
use shoal_model::Platform;

use super::{Scope, State, Step, resolve};
use crate::{BuildError, dockerfile};

/// The configuration that instructions make of an empty image, in their order.
///
/// # Errors
/// An instruction that cannot be read, or one that needs files.
pub fn changes<'a>(
    instructions: impl IntoIterator<Item = &'a str>,
) -> Result<RunConfig, BuildError> {
    let none = BTreeMap::new();
    let scope = Scope { build_args: &none, global_args: &none, escape: '\\' };
    let mut state = State::scratch(&Platform::host());
    // Only a stage of a build begins with a PATH.
    state.config.config.env.clear();
    for text in instructions {
        let instruction = dockerfile::parse_trigger(text)?;
        let name = instruction.command.name();
        let step = resolve(&instruction.command, &state, scope)
            .map_err(|message| BuildError::Request(format!("{message}: {text:?}")))?;
        match step {
            Step::Change(change) => change.apply(&mut state),
            Step::Workdir(path) => state.config.config.working_dir = path,
            Step::Copy(_) | Step::Run { .. } => {
                return Err(BuildError::Request(format!("{name} is not a valid change command")));
            }
        }
    }
    Ok(state.config.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_set_the_configuration() {
        let config = changes([
            "ENTRYPOINT [\"/shoal\", \"registry\", \"serve\"]",
            "EXPOSE 5000",
            "ENV A=\"b c\"",
            "WORKDIR /srv",
            "VOLUME /var/lib/registry",
        ])
        .unwrap();
        assert_eq!(config.entrypoint.unwrap(), ["/shoal", "registry", "serve"]);
        assert!(config.exposed_ports.contains_key("5000/tcp"));
        assert!(config.env.contains(&"A=b c".to_owned()));
        assert_eq!(config.working_dir, "/srv");
        assert!(config.volumes.contains_key("/var/lib/registry"));
    }

    #[test]
    fn what_needs_files_is_refused() {
        assert!(changes(["RUN true"]).unwrap_err().to_string().contains("RUN"));
        assert!(changes(["NONSENSE"]).is_err());
    }
}
