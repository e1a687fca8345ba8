//! A build from its request to the point where it can run.

use std::path::Path;

use crate::{
    BuildError, BuildRequest, Context,
    dockerfile::{self, Dockerfile, MAX_DOCKERFILE_BYTES},
    graph::Graph,
    support,
};

/// A build whose Dockerfile was read and understood.
#[derive(Debug)]
pub struct Build {
    pub(crate) context: Context,
    pub(crate) file: Dockerfile,
    pub(crate) graph: Graph,
    pub(crate) request: BuildRequest,
}

/// Reads the Dockerfile of a context, hides what its `.dockerignore` names and refuses
/// what this builder cannot do before anything runs. Blocks.
///
/// # Errors
/// Whatever is wrong with the request; nothing has happened then.
pub fn prepare(context: Context, request: BuildRequest) -> Result<Build, BuildError> {
    let bytes = read(&context, &request.dockerfile)?;
    let file = dockerfile::parse(&bytes)?;
    let graph = Graph::new(&file, &request)?;
    support::check(&graph)?;
    // `Dockerfile.dockerignore` next to the Dockerfile goes first.
    let own = format!("{}.dockerignore", request.dockerfile);
    let tree = context.tree().map_err(|error| BuildError::NotFound(error.to_string()))?;
    let name = if tree.stat(Path::new(&own)).is_ok() { own.as_str() } else { ".dockerignore" };
    context.hide_ignored(Path::new(name), &crate::tree::clean(Path::new(&request.dockerfile)))?;
    Ok(Build { context, file, graph, request })
}

fn read(context: &Context, name: &str) -> Result<Vec<u8>, BuildError> {
    let missing = || BuildError::NotFound(format!("Cannot locate specified Dockerfile: {name}"));
    let tree = context.tree().map_err(|_| missing())?;
    let path = crate::tree::clean(Path::new(name));
    let stat = tree.stat(&path).map_err(|_| missing())?;
    if stat.st_size == 0 {
        return Err(BuildError::Request(format!("the Dockerfile ({name}) cannot be empty")));
    }
    tree.read(&path, MAX_DOCKERFILE_BYTES as u64)
        .map_err(|error| BuildError::NotFound(format!("cannot read Dockerfile {name}: {error}")))
}
