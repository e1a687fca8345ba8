use std::{io::Write as _, os::unix::fs::MetadataExt as _};

use proptest::prelude::*;
use shoal_model::{Classify as _, Kind};
use tar::EntryType;

use super::*;
use crate::testing::TarContext;

/// A place with a directory beside it that nothing may touch.
struct Place {
    outer: TempDir,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("contexts")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        Self { outer }
    }

    fn receive(&self, bytes: &[u8]) -> Result<Context, ContextError> {
        self.receive_with(bytes, &ContextLimits::default())
    }

    fn receive_with(&self, bytes: &[u8], limits: &ContextLimits) -> Result<Context, ContextError> {
        Context::receive(bytes, &self.outer.path().join("contexts"), limits)
    }

    /// Nothing but what was there before.
    fn is_clean(&self) -> bool {
        let names = |path: &Path| {
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>()
        };
        let secret = std::fs::read_to_string(self.outer.path().join("secret"));
        names(&self.outer.path().join("contexts")).is_empty()
            && names(self.outer.path()).len() == 2
            && secret.is_ok_and(|text| text == "secret")
    }
}

#[test]
fn files_come_as_they_were_and_belong_to_root() {
    let place = Place::new();
    let bytes = TarContext::new()
        .directory("d")
        .file_with_mode("d/run.sh", "#!/bin/sh\n", 0o4755)
        .link("d/link", "run.sh")
        .entry("hard", EntryType::Link, &[], Some("d/run.sh"), 0o644)
        .entry("pipe", EntryType::Fifo, &[], None, 0o600)
        .file("./plain", "x")
        .into_bytes();
    let context = place.receive(&bytes).unwrap();
    let at = |path: &str| context.path().join(path);
    let run = at("d/run.sh").metadata().unwrap();
    assert_eq!((run.mode() & 0o7777, run.uid(), run.gid()), (0o4755, 0, 0));
    assert_eq!(run.mtime(), 1_700_000_000);
    assert_eq!(at("d").metadata().unwrap().mtime(), 1_700_000_000);
    assert_eq!(std::fs::read_link(at("d/link")).unwrap(), Path::new("run.sh"));
    assert_eq!(at("hard").metadata().unwrap().ino(), run.ino());
    assert_eq!(std::fs::read_to_string(at("plain")).unwrap(), "x");
    drop(context);
    assert!(place.is_clean());
}

#[test]
fn compressed_contexts_are_unpacked() {
    let place = Place::new();
    let plain = TarContext::new().file("a", "1").into_bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [gzip.finish().unwrap(), zstd] {
        let context = place.receive(&bytes).unwrap();
        assert_eq!(std::fs::read_to_string(context.path().join("a")).unwrap(), "1");
    }
    let error = place.receive(b"\xfd7zXZ\0rest").unwrap_err();
    assert_eq!(error.kind(), Kind::NotImplemented);
    assert!(error.to_string().contains("xz"), "{error}");
}

#[test]
fn nothing_leads_out() {
    let place = Place::new();
    let secret = place.outer.path().join("secret");
    let absolute = secret.to_str().unwrap();
    // Links are kept inside; what is written through them stays inside, too.
    for target in ["../../secret", "/", "..", absolute, "../../../../../.."] {
        let bytes = TarContext::new()
            .link("link", target)
            .file("link/etc/owned", "x")
            .file("link/secret", "overwritten")
            .entry("copy", EntryType::Link, &[], Some("link"), 0o644)
            .into_bytes();
        drop(place.receive(&bytes));
        assert!(place.is_clean(), "{target}");
    }
    assert!(!Path::new("/etc/owned").exists());
    for path in ["../secret", "a/../../secret", ".."] {
        let bytes = TarContext::new().file(path, "x").into_bytes();
        let error = place.receive(&bytes).unwrap_err();
        assert!(matches!(error, ContextError::Entry { .. }), "{path}: {error}");
        let bytes = TarContext::new()
            .entry("a", EntryType::Link, &[], Some("../../secret"), 0o644)
            .into_bytes();
        assert!(place.receive(&bytes).is_err());
        assert!(place.is_clean(), "{path}");
    }
}

#[test]
fn devices_have_no_place_in_a_context() {
    let place = Place::new();
    for kind in [EntryType::Char, EntryType::Block] {
        let bytes = TarContext::new().entry("dev", kind, &[], None, 0o600).into_bytes();
        let error = place.receive(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "build context has an invalid entry \"dev\": it is a device");
    }
    assert!(place.is_clean());
}

#[test]
fn limits_hold_and_leave_nothing() {
    let place = Place::new();
    let bytes = TarContext::new().file("a", "12345").file("b", "12345").into_bytes();
    let few = |bytes, files| ContextLimits { bytes, files };
    assert!(place.receive_with(&bytes, &few(10, 2)).is_ok());
    for limits in [few(9, 2), few(10, 1)] {
        let error = place.receive_with(&bytes, &limits).unwrap_err();
        assert!(matches!(error, ContextError::TooLarge(_)), "{error}");
    }
    assert!(place.is_clean());
}

#[test]
fn a_header_that_never_ends_is_refused() {
    let place = Place::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().chain(io::repeat(b'a'));
    let under = place.outer.path().join("contexts");
    let error = Context::receive(endless, &under, &ContextLimits::default()).unwrap_err();
    assert!(error.chain().contains("header is too long"), "{}", error.chain());
    assert!(place.is_clean());
}

#[test]
fn a_stream_that_breaks_off_leaves_nothing() {
    let place = Place::new();
    let bytes = TarContext::new().file("a", vec![7; 5000]).into_bytes();
    for length in [1, 100, 511, 600, 3000] {
        let error = place.receive(&bytes[..length]).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{length}: {error}");
        assert!(place.is_clean());
    }
}

/// As `docker build -f -` sends it.
#[test]
fn an_archive_may_stop_behind_its_last_file() {
    let place = Place::new();
    let bytes = TarContext::new().file("a", "1").file("b", "12345").into_bytes();
    for length in [2 * 512 + 512 + 5, 2 * 512 + 512 + 100, 4 * 512, 5 * 512] {
        let context = place.receive(&bytes[..length]).unwrap();
        assert_eq!(std::fs::read(context.path().join("b")).unwrap(), b"12345", "{length}");
    }
    let error = place.receive(&bytes[..2 * 512 + 512 + 4]).unwrap_err();
    assert!(matches!(error, ContextError::Read(_)), "{error}");
}

#[test]
fn only_the_two_files_a_client_must_send_are_hidden() {
    let place = Place::new();
    let left = |list: &str| {
        let bytes = TarContext::new()
            .file(".dockerignore", list)
            .file("a.log", "1")
            .file("d/Dockerfile", "FROM x")
            .into_bytes();
        let context = place.receive(&bytes).unwrap();
        context.hide_ignored(Path::new(".dockerignore"), Path::new("d/Dockerfile")).unwrap();
        let mut left = Vec::new();
        tree::walk(&context.tree().unwrap(), Path::new(""), &mut |entry| {
            left.push(entry.path.display().to_string());
            Ok(tree::Walk::Enter)
        })
        .unwrap();
        left.join(" ")
    };
    assert_eq!(left("*.log\n"), ".dockerignore a.log d d/Dockerfile");
    assert_eq!(left("*.log\n.dockerignore\nd\n"), "a.log d");
    assert_eq!(left("*\n!d\n"), "a.log d d/Dockerfile");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let place = Place::new();
        drop(place.receive(&bytes));
        prop_assert!(place.is_clean());
    }

    #[test]
    fn any_entries_stay_inside(
        entries in prop::collection::vec(
            ("[a-c./]{1,8}", 0u8..7, "[a-c./]{0,8}"), 0..12
        )
    ) {
        let place = Place::new();
        let mut tar = TarContext::new();
        for (path, kind, target) in &entries {
            tar = match kind {
                0 => tar.directory(path),
                1 | 2 => tar.link(path, target),
                3 => tar.entry(path, EntryType::Link, &[], Some(target), 0o644),
                4 => tar.entry(path, EntryType::Fifo, &[], None, 0o644),
                _ => tar.file(path, target),
            };
        }
        drop(place.receive(&tar.into_bytes()));
        prop_assert!(place.is_clean());
    }
}
