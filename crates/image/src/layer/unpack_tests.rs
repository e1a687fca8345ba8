//! Run as root: owners, devices and `trusted.` attributes are part of it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::PathBuf,
};

use proptest::prelude::*;

use super::*;
use crate::{layer::write_tar, tarball::TarWriter};

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: if kind == EntryKind::Directory { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        size: 0,
        mtime: (1_000_000_000, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn directory(path: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::Directory), Vec::new())
}

fn file(path: &str, content: &str) -> (Entry, Vec<u8>) {
    let mut made = entry(path, EntryKind::Regular);
    made.size = content.len() as u64;
    (made, content.into())
}

fn link(path: &str, kind: EntryKind, target: &str) -> (Entry, Vec<u8>) {
    let mut made = entry(path, kind);
    made.link = target.into();
    (made, Vec::new())
}

fn tar(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, body) in entries {
        writer.entry(entry).unwrap();
        writer.data(body).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn paths_that_are_remembered_have_a_limit() {
    let jail = Jail::new();
    let stream = tar(&[(entry("a/b", EntryKind::Directory), Vec::new())]);
    for (before, fits) in [(MAX_KEPT_PATHS - 3, true), (MAX_KEPT_PATHS - 2, false)] {
        let mut unpacker = Unpacker::open(&jail.target).unwrap();
        unpacker.kept_paths = before;
        let (mut writer, reader) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // The reader may leave early.
                let _ = writer.write_all(&stream);
                let _ = writer.finish();
            });
            let unpacked = unpacker.run(TarReader::new(reader));
            assert_eq!(unpacked.is_ok(), fits, "{unpacked:?}");
        });
    }
}

/// A target directory with something beside it that must not change.
struct Jail {
    outer: tempfile::TempDir,
    target: PathBuf,
}

impl Jail {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let target = outer.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        fs::write(outer.path().join("outside/secret"), "untouched").unwrap();
        fs::write(outer.path().join("victim"), "untouched").unwrap();
        Self { outer, target }
    }

    fn unpack(&self, entries: &[(Entry, Vec<u8>)]) -> Result<Unpacked, LayerError> {
        unpack(&tar(entries)[..], &self.target)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// Everything but the target is as it was made.
    fn assert_outside_untouched(&self) {
        let mut names: Vec<_> = fs::read_dir(self.outer.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "target", "victim"]);
        for path in ["outside/secret", "victim"] {
            let path = self.outer.path().join(path);
            assert_eq!(fs::read_to_string(&path).unwrap(), "untouched");
            let status = fs::metadata(&path).unwrap();
            assert_eq!((status.uid(), status.nlink(), status.mode() & 0o7777), (0, 1, 0o644));
        }
        assert_eq!(fs::read_dir(self.outer.path().join("outside")).unwrap().count(), 1);
    }
}

/// What is in a directory: path to a line about it.
fn listing(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
        for item in fs::read_dir(root).unwrap() {
            let item = item.unwrap();
            let path = format!("{prefix}{}", item.file_name().to_string_lossy());
            let status = fs::symlink_metadata(item.path()).unwrap();
            let what = if status.is_dir() {
                walk(&item.path(), &format!("{path}/"), found);
                "dir".into()
            } else if status.is_symlink() {
                format!("-> {}", fs::read_link(item.path()).unwrap().display())
            } else if status.is_file() {
                fs::read_to_string(item.path()).unwrap()
            } else if status.file_type().is_char_device() && status.rdev() == 0 {
                "whiteout".into()
            } else {
                format!("{:o}", status.mode())
            };
            found.insert(path, what);
        }
    }
    let mut found = BTreeMap::new();
    walk(root, "", &mut found);
    found
}

fn opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..]) == Ok(1)
        && value[0] == b'y'
}

#[test]
fn objects_of_all_kinds_come_out_as_they_went_in() {
    let jail = Jail::new();
    let mut program = file("usr/bin/tool", "#!");
    (program.0.mode, program.0.uid, program.0.gid) = (0o4755, 12, 34);
    let capability = vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    program.0.xattrs = vec![
        (b"security.capability".to_vec(), capability),
        (b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec()),
    ];
    let mut null = entry("dev/null", EntryKind::CharDevice);
    (null.device, null.mode) = ((1, 3), 0o666);
    jail.unpack(&[
        directory("usr/"),
        program,
        link("usr/bin/other", EntryKind::Hardlink, "usr/bin/tool"),
        link("bin", EntryKind::Symlink, "/usr/bin"),
        (null, Vec::new()),
        (entry("run/pipe", EntryKind::Fifo), Vec::new()),
    ])
    .unwrap();
    let tool = fs::metadata(jail.path("usr/bin/tool")).unwrap();
    assert_eq!((tool.uid(), tool.gid(), tool.nlink(), tool.mtime()), (12, 34, 2, 1_000_000_000));
    assert_eq!(tool.mode() & 0o7777, 0o4755);
    let mut value = [0; 64];
    let path = jail.path("usr/bin/tool");
    assert_eq!(rustix::fs::lgetxattr(&path, "security.capability", &mut value[..]), Ok(20));
    assert!(rustix::fs::lgetxattr(&path, "trusted.overlay.redirect", &mut value[..]).is_err());
    assert_eq!(fs::read_link(jail.path("bin")).unwrap(), PathBuf::from("/usr/bin"));
    let null = fs::symlink_metadata(jail.path("dev/null")).unwrap();
    assert_eq!((null.rdev(), null.mode() & 0o7777), (rustix::fs::makedev(1, 3), 0o666));
    assert_eq!(fs::metadata(jail.path("usr")).unwrap().mtime(), 1_000_000_000);
    assert!(fs::symlink_metadata(jail.path("run/pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn whiteouts_take_overlays_form() {
    let jail = Jail::new();
    jail.unpack(&[
        file("etc/.wh.gone", ""),
        file("etc/.wh..wh..opq", ""),
        file("usr/.wh.lib", ""),
        directory("usr/lib/"),
        file("usr/lib/new", "n"),
        directory("var/"),
        file(".wh.var", ""),
        file(".wh..wh.plnk", "ignored"),
    ])
    .unwrap();
    let found = listing(&jail.target);
    assert_eq!(found["etc/gone"], "whiteout");
    assert!(opaque(&jail.path("etc")));
    assert_eq!(found["usr/lib/new"], "n");
    assert!(opaque(&jail.path("usr/lib")), "a directory made after a whiteout hides the old one");
    assert!(opaque(&jail.path("var")), "and so does one made before it");
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn names_that_lead_out_are_refused() {
    for path in ["../victim", "a/../../victim", "..", "/../victim"] {
        let jail = Jail::new();
        let error = jail.unpack(&[file(path, "bad")]).unwrap_err();
        assert!(matches!(error, LayerError::Path(_)), "{path}: {error:?}");
        jail.assert_outside_untouched();
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        let jail = Jail::new();
        assert!(matches!(jail.unpack(&[file(name, "")]), Err(LayerError::Path(_))), "{name}");
        jail.assert_outside_untouched();
    }
}

#[test]
fn absolute_names_are_taken_as_relative() {
    let jail = Jail::new();
    jail.unpack(&[file("/etc/x", "1")]).unwrap();
    assert_eq!(listing(&jail.target)["etc/x"], "1");
}

#[test]
fn links_do_not_lead_out() {
    let out = |jail: &Jail| jail.outer.path().to_str().unwrap().to_owned();
    for target in ["..", "../outside", "/", "OUT/outside", "a/../../../outside", "/proc/self/root"]
    {
        let jail = Jail::new();
        let target = target.replace("OUT", &out(&jail));
        let entries = [
            link("way", EntryKind::Symlink, &target),
            file("way/secret", "bad"),
            file("way/outside/secret", "bad"),
            file("way/.wh.secret", ""),
            file("way/.wh..wh..opq", ""),
            directory("way/"),
        ];
        for further in &entries[1..] {
            let _ = jail.unpack(&[entries[0].clone(), further.clone()]);
            jail.assert_outside_untouched();
            jail.target.read_dir().unwrap().for_each(|item| {
                let path = item.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            });
        }
    }
}

#[test]
fn hardlinks_do_not_reach_out() {
    let jail = Jail::new();
    let absolute = jail.outer.path().join("victim");
    for target in ["../victim", absolute.to_str().unwrap(), "way/victim", "/way/../../victim"] {
        let result = jail.unpack(&[
            link("way", EntryKind::Symlink, ".."),
            link("got", EntryKind::Hardlink, target),
            file("got", "bad"),
        ]);
        assert!(result.is_err(), "{target}");
        jail.assert_outside_untouched();
        fs::remove_file(jail.path("way")).unwrap();
    }
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_not_followed() {
    let jail = Jail::new();
    let victim = jail.outer.path().join("victim");
    let mut owned = file("x", "new");
    owned.0.uid = 7;
    jail.unpack(&[link("x", EntryKind::Symlink, victim.to_str().unwrap()), owned]).unwrap();
    jail.assert_outside_untouched();
    assert_eq!(listing(&jail.target)["x"], "new");
}

#[test]
fn a_later_entry_replaces_an_earlier_one_of_another_kind() {
    let jail = Jail::new();
    jail.unpack(&[
        directory("a/"),
        file("a/deep/er", "1"),
        file("a", "file"),
        file("b", "file"),
        directory("b/"),
        file("b/c", "2"),
        directory("d"),
        link("d", EntryKind::Symlink, "b"),
        file("d/e", "3"),
    ])
    .unwrap();
    let found = listing(&jail.target);
    let expected = [("a", "file"), ("b", "dir"), ("b/c", "2"), ("b/e", "3"), ("d", "-> b")];
    assert_eq!(found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_that_claims_too_much_is_refused() {
    let jail = Jail::new();
    let mut big = entry("big", EntryKind::Regular);
    big.size = 1 << 50;
    // Only the header: the body is never looked at.
    let mut header = Vec::new();
    TarWriter::new(&mut header).entry(&big).unwrap();
    let error = unpack(&header[..], &jail.target).unwrap_err();
    assert!(matches!(error, LayerError::TooMuch { what: "bytes", .. }), "{error:?}");
}

#[test]
fn compressed_streams_have_the_same_diff_id() {
    let plain = tar(&[file("a", "hello")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let ids: Vec<_> = [plain.clone(), gzip.finish().unwrap(), zstd]
        .iter()
        .map(|bytes| {
            let unpacked = unpack(&bytes[..], &Jail::new().target).unwrap();
            assert_eq!((unpacked.size, unpacked.tar_size), (5, plain.len() as u64));
            unpacked.diff_id
        })
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn damaged_and_unknown_compression_is_an_error() {
    let plain = tar(&[file("a", &"hello".repeat(10_000))]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let jail = Jail::new();
    assert!(matches!(unpack(&gzip[..gzip.len() - 9], &jail.target), Err(LayerError::Source(_))));
    assert!(
        unpack(&b"BZh91AY"[..], &jail.target).unwrap_err().to_string().contains("layer's data")
    );
}

#[test]
fn a_directory_becomes_the_same_tar_each_time_and_back() {
    let jail = Jail::new();
    let mut program = file("bin/a", "one");
    program.0.mode = 0o6711;
    jail.unpack(&[
        program,
        link("bin/b", EntryKind::Hardlink, "bin/a"),
        link("bin/c", EntryKind::Symlink, "a"),
        file("etc/.wh..wh..opq", ""),
        file("etc/.wh.gone", ""),
        (entry("run/pipe", EntryKind::Fifo), Vec::new()),
        file(&format!("long/{}/{}", "x".repeat(200), "y".repeat(200)), "deep"),
    ])
    .unwrap();
    let mut first = Vec::new();
    let size = write_tar(&jail.target, &mut first).unwrap();
    assert_eq!(size, 7);
    let again = Jail::new();
    let unpacked = unpack(&first[..], &again.target).unwrap();
    assert_eq!(unpacked.size, 7);
    assert_eq!(listing(&jail.target), listing(&again.target));
    assert!(opaque(&again.path("etc")));
    let mut second = Vec::new();
    write_tar(&again.target, &mut second).unwrap();
    assert!(first == second);
}

/// Parts that make trouble, often enough to meet each other.
fn any_part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]",
        2 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => "\\.wh\\.[a-c]",
        1 => Just(".wh..wh..opq".to_owned()),
        1 => Just("outside".to_owned()),
        1 => Just("secret".to_owned()),
        1 => Just("victim".to_owned()),
    ]
}

fn any_path() -> impl Strategy<Value = String> {
    (prop_oneof![3 => Just(""), 1 => Just("/")], proptest::collection::vec(any_part(), 1..5))
        .prop_map(|(start, parts)| format!("{start}{}", parts.join("/")))
}

fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        Just(EntryKind::Regular),
        Just(EntryKind::Hardlink),
        Just(EntryKind::Symlink),
        Just(EntryKind::Directory),
        Just(EntryKind::CharDevice),
        Just(EntryKind::Fifo),
    ];
    (any_path(), kind, any_path(), 0_u32..0o10000, 0_u32..3).prop_map(
        |(path, kind, target, mode, uid)| {
            let (mut made, body) = match kind {
                EntryKind::Regular => file(&path, "bad"),
                EntryKind::Hardlink | EntryKind::Symlink => link(&path, kind, &target),
                _ => (entry(&path, kind), Vec::new()),
            };
            (made.mode, made.uid) = (mode, uid);
            (made, body)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Each entry on its own stream into the same directory, so that one that
    /// is refused does not hide the next.
    #[test]
    fn nothing_is_written_outside(entries in proptest::collection::vec(any_entry(), 1..12)) {
        let jail = Jail::new();
        for entry in entries {
            let _ = jail.unpack(&[entry]);
        }
        jail.assert_outside_untouched();
    }

    #[test]
    fn nothing_is_written_outside_by_one_stream(
        entries in proptest::collection::vec(any_entry(), 1..12),
    ) {
        let jail = Jail::new();
        let _ = jail.unpack(&entries);
        jail.assert_outside_untouched();
    }
}
