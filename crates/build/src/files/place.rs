//! Where each file goes, and putting it there.

use std::{
    io::{self, Read, Seek},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, OFlags};

use super::{Found, FoundKind, SourceTree};
use crate::{
    BuildError,
    context::{Compression, ContextLimits, Unpack, decoder, detect, looks_like_tar, unpack},
    ignore::Ignore,
    stage::CopyStep,
    tree::{Attributes, CopyOptions, Owner, Tree, copy_into, kind, put_file, refuse_directory},
    users,
};

/// Mode of the files that are written in the Dockerfile.
const CONTENT_MODE: u32 = 0o644;

/// Copies what was found into a root file system.
pub(crate) fn copy(
    step: &CopyStep,
    source: &SourceTree,
    found: &[Found],
    root: &Tree,
) -> Result<(), BuildError> {
    let failed = |message: String| BuildError::Copy { instruction: step.instruction, message };
    let owner = match &step.chown {
        Some(text) => users::resolve(root, text).map_err(failed)?,
        None => Owner::default(),
    };
    let exclude = Ignore::new(step.exclude.iter().map(String::as_str)).map_err(failed)?;
    if found.len() > 1 && !step.destination.ends_with('/') {
        return Err(failed(
            "When using COPY with more than one source file, the destination must be a directory \
             and end with a /"
                .to_owned(),
        ));
    }
    let options = CopyOptions { owner, mode: step.chmod, leave_out: &|path| exclude.matches(path) };
    for one in found {
        place(step, source, one, root, &options).map_err(failed)?;
    }
    Ok(())
}

fn place(
    step: &CopyStep,
    source: &SourceTree,
    found: &Found,
    root: &Tree,
    options: &CopyOptions<'_>,
) -> Result<(), String> {
    let destination = Path::new(&step.destination);
    let io = |error: io::Error| format!("{}: {error}", found.name.display());
    match &found.kind {
        FoundKind::Directory(path) => {
            copy_into(&source.tree, path, root, destination, options).map_err(io)
        }
        FoundKind::Content(text) => {
            let target = target(&step.destination, &found.name, root);
            let (parent, name) = root.parent(&target, options.owner).map_err(io)?;
            refuse_directory(parent.as_fd(), &name, &target).map_err(io)?;
            let attributes = Attributes {
                mode: options.mode.unwrap_or(CONTENT_MODE),
                owner: options.owner,
                ..Attributes::default()
            };
            put_file(parent.as_fd(), &name, &mut text.as_bytes(), &attributes).map_err(io)?;
            Ok(())
        }
        FoundKind::File(path) => {
            if step.unpack && extract(step, source, path, root, options)? {
                return Ok(());
            }
            let target = target(&step.destination, &found.name, root);
            copy_into(&source.tree, path, root, &target, options).map_err(io)
        }
    }
}

/// The path of a file: below the destination if that is a directory.
fn target(destination: &str, name: &Path, root: &Tree) -> PathBuf {
    let path = Path::new(destination);
    let is_directory = destination.ends_with('/')
        || root.stat(path).is_ok_and(|stat| kind(&stat) == FileType::Directory);
    if is_directory { path.join(name) } else { path.to_owned() }
}

/// Unpacks a local archive, as `ADD` does; `false` if the file is none.
fn extract(
    step: &CopyStep,
    source: &SourceTree,
    path: &Path,
    root: &Tree,
    options: &CopyOptions<'_>,
) -> Result<bool, String> {
    let io = |error: io::Error| format!("{}: {error}", path.display());
    let open = || source.tree.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK);
    let mut file = std::fs::File::from(open().map_err(io)?);
    if !file.metadata().map_err(io)?.is_file() {
        return Ok(false);
    }
    let (compression, head) = detect(&mut file).map_err(io)?;
    drop(head);
    if matches!(compression, Compression::Bzip2 | Compression::Xz) {
        let name = if compression == Compression::Xz { "xz" } else { "bzip2" };
        return Err(format!(
            "unpacking {}, which is compressed with {name}, is not supported yet (use gzip or \
             zstd, or COPY it)",
            path.display()
        ));
    }
    if !looks_like_tar(rewound(&file, compression, path)?) {
        return Ok(false);
    }
    let how = Unpack {
        owner: step.chown.is_some().then_some(options.owner),
        mode: options.mode,
        devices: true,
        limits: ContextLimits::default(),
    };
    let destination = Path::new(&step.destination);
    root.make_directories(destination, options.owner).map_err(io)?;
    let below = crate::tree::clean(destination);
    unpack(&mut *rewound(&file, compression, path)?, root, &below, &how).map_err(|error| {
        use shoal_model::Classify as _;
        format!("{}: {}", path.display(), error.chain())
    })?;
    Ok(true)
}

/// The archive from its beginning, uncompressed.
fn rewound<'a>(
    mut file: &'a std::fs::File,
    compression: Compression,
    path: &Path,
) -> Result<Box<dyn Read + 'a>, String> {
    file.rewind().map_err(|error| format!("{}: {error}", path.display()))?;
    decoder(compression, io::BufReader::new(file)).map_err(|error| error.to_string())
}
