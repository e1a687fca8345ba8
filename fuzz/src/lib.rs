//! Everything that reads bytes from outside, as functions that take bytes.
//!
//! Each must return for any input. Where a reader has a writer, what was
//! written must read the same; that is asserted here, so that fuzzing and the
//! property tests look for wrong results, not for crashes alone.

use std::{path::Path, sync::Arc};

use shoal_build::{
    BuildRequest, Context, ContextLimits, dockerfile, expand, graph::Graph, ignore::Ignore,
};
use shoal_cluster::{ca::JoinToken, schedule::Constraint};
use shoal_image::{Store, StoreConfig, no_progress};
use shoal_model::{Platform, Reference, Signal, Timestamp, units};
use shoal_runtime::protocol::{Decoder, FrameKind};
use tempfile::TempDir;

/// Something that takes any bytes.
pub type Reader = fn(&[u8]);

/// A name for each reader, for those who go through all of them.
pub const READERS: [(&str, Reader); 9] = [
    ("dockerfile", dockerfile),
    ("dockerignore", dockerignore),
    ("expansion", expansion),
    ("build_context", build_context),
    ("image_archive", image_archive),
    ("reference", reference),
    ("shim_protocol", shim_protocol),
    ("words", words),
    ("cluster_words", cluster_words),
];

/// A Dockerfile, and the plan that is made of it.
pub fn dockerfile(bytes: &[u8]) {
    let Ok(file) = dockerfile::parse(bytes) else { return };
    let shown = file.to_string();
    let again = dockerfile::parse(shown.as_bytes()).expect("what was shown reads again");
    let commands = |file: &dockerfile::Dockerfile| {
        file.instructions.iter().map(|one| one.command.clone()).collect::<Vec<_>>()
    };
    assert_eq!(commands(&again), commands(&file), "{shown}");
    if let Ok(graph) = Graph::new(&file, &BuildRequest::default()) {
        let _ = graph.to_string();
    }
}

/// A `.dockerignore`, and a path to match.
pub fn dockerignore(bytes: &[u8]) {
    let (path, rest) = bytes.split_at(bytes.len().min(16));
    if let Ok(ignore) = Ignore::parse(rest) {
        let _ = ignore.matches(Path::new(&*String::from_utf8_lossy(path)));
    }
}

/// Words with variables in them.
pub fn expansion(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let variables = |name: &str| (name.len() % 2 == 1).then(|| format!("a/{name}*"));
    for escape in ['\\', '`'] {
        let _ = expand::word(&text, escape, &variables);
        let _ = expand::words(&text, escape, &variables);
        let _ = expand::document(&text, escape, &variables);
    }
}

/// The tar of a build context, unpacked for real.
pub fn build_context(bytes: &[u8]) {
    let outer = tempfile::tempdir().expect("a directory");
    let under = outer.path().join("contexts");
    let limits = ContextLimits { bytes: 1 << 20, files: 1000 };
    drop(Context::receive(bytes, &under, &limits));
    let left = std::fs::read_dir(&under).map_or(0, Iterator::count);
    let beside = std::fs::read_dir(outer.path()).map_or(0, Iterator::count);
    assert!(left == 0 && beside <= 1, "something stays behind or got out");
}

/// What `docker load` sends.
pub fn image_archive(bytes: &[u8]) {
    // The thread's and not a static: a static's folder would outlive the process.
    thread_local! {
        static STORE: (Arc<Store>, TempDir) = {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(&directory.path().join("image"), StoreConfig::default());
            (store.expect("a store"), directory)
        };
    }
    STORE.with(|(store, _)| drop(store.load(bytes, no_progress())));
}

/// The name of an image.
pub fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(reference) = Reference::parse(&text) else { return };
    for shown in [reference.familiar(), reference.to_string()] {
        assert_eq!(Reference::parse(&shown).as_ref(), Ok(&reference), "{shown}");
    }
}

/// What comes in on a shim's socket, in pieces.
pub fn shim_protocol(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    for piece in bytes.chunks(7) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    let _: FrameKind = frame.kind;
                    let _ = (frame.request(), frame.response(), frame.exit());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// The small texts of requests: sizes, times, platforms, signals.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = units::parse_bytes(&text);
    let _ = Platform::parse(&text);
    let _ = text.parse::<Signal>();
    if let Ok(duration) = units::parse_go_duration(&text) {
        let shown = units::format_go_duration(duration);
        assert_eq!(units::parse_go_duration(&shown).ok(), Some(duration), "{shown}");
    }
    if let Ok(time) = Timestamp::parse(&text) {
        assert_eq!(Timestamp::parse(&time.rfc3339_nano()).ok(), Some(time), "{text}");
    }
}

/// The texts of the cluster: join tokens and placement constraints.
pub fn cluster_words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.to_string(), text);
    }
    let _ = Constraint::parse(&text);
}
