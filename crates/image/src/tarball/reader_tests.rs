use std::io::BufReader;

use proptest::prelude::*;

use super::*;
use crate::tarball::TarWriter;

fn entry(path: &[u8], kind: EntryKind) -> Entry {
    Entry {
        path: path.to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: (0, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

/// Reads everything: the entries with their bodies, holes filled.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(BufReader::with_capacity(700, bytes));
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut body = Vec::new();
        reader.body().read_to_end(&mut body)?;
        if let Some(map) = entry.sparse.as_ref().filter(|_| entry.size <= 1 << 24) {
            let mut whole = vec![0; entry.size as usize];
            for extent in map {
                let rest = body.split_off(extent.length as usize);
                whole[extent.offset as usize..][..body.len()].copy_from_slice(&body);
                body = rest;
            }
            body = whole;
        }
        found.push((entry, body));
    }
    reader.drain()?;
    Ok(found)
}

#[test]
fn what_the_tar_crate_writes_is_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    for (path, data) in [("a.txt", &b"hello"[..]), (long.as_str(), &[7; 1000])] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o4755);
        header.set_uid(3_000_000);
        builder.append_data(&mut header, path, data).unwrap();
    }
    let found = read(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, b"hello");
    assert_eq!((found[0].0.mode, found[0].0.uid), (0o4755, 3_000_000));
    assert_eq!(found[1].0.path, long.as_bytes());
    assert_eq!(found[1].1, [7; 1000]);
}

#[test]
fn sparse_files_of_gnu_tar_keep_their_holes() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("holes")).unwrap();
    let mut expected = vec![0; 3 << 20];
    for offset in [0_usize, 1 << 20, (2 << 20) + 5] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", offset as u64).unwrap();
        expected[offset..offset + 4].copy_from_slice(b"data");
    }
    file.set_len(3 << 20).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let output = std::process::Command::new("tar")
            .args(["--sparse", "-cf", "-", "-C"])
            .arg(dir.path())
            .args(format)
            .arg("holes")
            .output()
            .unwrap();
        assert!(output.status.success());
        let found = read(&output.stdout).unwrap();
        assert_eq!(found.len(), 1, "{format:?}");
        assert_eq!(found[0].0.path, b"holes", "{format:?}");
        assert!(found[0].0.sparse.is_some(), "{format:?}");
        assert!(found[0].1 == expected, "{format:?}");
    }
}

#[test]
fn too_long_descriptions_are_refused_before_they_are_read() {
    for (flag, size) in
        [(b'x', MAX_PAX_BYTES + 1), (b'g', 1 << 40), (b'L', 1 << 40), (b'K', 1 << 33)]
    {
        let mut block = [0; BLOCK];
        block[0] = b'x';
        block[156] = flag;
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
        crate::tarball::header::seal(&mut block);
        assert!(matches!(read(&block), Err(TarError::Format(_))), "{flag}");
    }
}

#[test]
fn endless_descriptions_are_refused() {
    let mut writer = TarWriter::new(Vec::new());
    let mut long = entry(&[b'p'; 300], EntryKind::Directory);
    long.mode = 0o755;
    writer.entry(&long).unwrap();
    let bytes = writer.finish().unwrap();
    let described = &bytes[..2 * BLOCK];
    let endless = described.repeat(40);
    assert!(matches!(read(&endless), Err(TarError::Format(_))));
}

#[test]
fn a_stream_that_ends_early_is_an_error() {
    let mut writer = TarWriter::new(Vec::new());
    let mut file = entry(b"f", EntryKind::Regular);
    file.size = 2000;
    writer.entry(&file).unwrap();
    writer.data(&[1; 2000]).unwrap();
    let bytes = writer.finish().unwrap();
    for length in [1, 511, 513, 1500, 2511] {
        assert!(matches!(read(&bytes[..length]), Err(TarError::Io(_))), "{length}");
    }
    // Without the closing zeros it is still an archive.
    assert_eq!(read(&bytes[..BLOCK + 2048]).unwrap().len(), 1);
}

fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let name = proptest::collection::vec(
        proptest::collection::vec(prop_oneof![b'a'..=b'z', 0x80..=0xff_u8, Just(b' ')], 1..60),
        1..8,
    )
    .prop_map(|parts| parts.join(&b'/'));
    let kind = prop_oneof![
        Just(EntryKind::Regular),
        Just(EntryKind::Hardlink),
        Just(EntryKind::Symlink),
        Just(EntryKind::CharDevice),
        Just(EntryKind::Directory),
        Just(EntryKind::Fifo),
    ];
    (
        (name.clone(), kind, 0_u32..0o10000, 0..u32::MAX, 0..u32::MAX, name),
        (
            0_i64..1 << 40,
            proptest::collection::vec(any::<u8>(), 0..1500),
            proptest::collection::vec(any::<u8>(), 0..90),
        ),
    )
        .prop_map(|((path, kind, mode, uid, gid, link), (mtime, body, value))| {
            let body = if kind == EntryKind::Regular { body } else { Vec::new() };
            let is_link = matches!(kind, EntryKind::Hardlink | EntryKind::Symlink);
            let mut made = entry(&path, kind);
            (made.mode, made.uid, made.gid, made.mtime.0) = (mode, uid, gid, mtime);
            made.size = body.len() as u64;
            made.link = if is_link { link } else { Vec::new() };
            if kind == EntryKind::CharDevice {
                made.device = (5, 1);
            }
            if !value.is_empty() {
                made.xattrs.push((b"security.capability".to_vec(), value));
            }
            (made, body)
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(entries in proptest::collection::vec(any_entry(), 0..6)) {
        let mut writer = TarWriter::new(Vec::new());
        for (entry, body) in &entries {
            writer.entry(entry).unwrap();
            writer.data(body).unwrap();
        }
        let bytes = writer.finish().unwrap();
        prop_assert_eq!(read(&bytes).unwrap(), entries);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        entries in proptest::collection::vec(any_entry(), 0..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        fix in any::<bool>(),
    ) {
        let mut writer = TarWriter::new(Vec::new());
        for (entry, body) in &entries {
            writer.entry(entry).unwrap();
            writer.data(body).unwrap();
        }
        let mut bytes = writer.finish().unwrap();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
            let start = index / BLOCK * BLOCK;
            if fix && let Ok(block) = <&mut [u8; BLOCK]>::try_from(&mut bytes[start..start + BLOCK]) {
                crate::tarball::header::seal(block);
            }
        }
        let _ = read(&bytes);
    }
}
