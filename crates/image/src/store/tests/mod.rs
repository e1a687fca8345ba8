//! Tests of the store. They run as root: layers have owners and devices.

mod archive;
mod commit;
mod crash;
mod full_disk;
mod names;
mod remote;

use std::{path::Path, sync::Arc};

use shoal_model::{Digest, Platform, Reference, Timestamp};

use super::{Store, StoreConfig};
use crate::{
    History, Image, ImageConfig, ImageUse,
    tarball::{Entry, EntryKind, TarWriter},
};

fn open(path: &Path) -> Arc<Store> {
    Store::open(path, StoreConfig::default()).unwrap()
}

fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn nobody(_: &Digest) -> Vec<ImageUse> {
    Vec::new()
}

fn entry(path: &str, kind: EntryKind, size: usize) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: if kind == EntryKind::Directory { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        size: size as u64,
        mtime: (1_700_000_000, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

/// A tar of files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (path, content) in files {
        writer.entry(&entry(path, EntryKind::Regular, content.len())).unwrap();
        writer.data(content).unwrap();
    }
    writer.finish().unwrap()
}

/// An image of one layer per list of files.
fn image(store: &Store, layers: &[&[(&str, &[u8])]], tags: &[&str], seconds: i64) -> Image {
    let lease = store.lease();
    let layers: Vec<Digest> = layers
        .iter()
        .map(|files| store.put_layer(&tar(files)[..], &lease).unwrap().diff_id)
        .collect();
    let mut config = ImageConfig::new(&Platform::host());
    config.created = Some(Timestamp::from_seconds(seconds).rfc3339_nano());
    config.config.cmd = Some(vec!["/bin/true".into()]);
    config.history = layers
        .iter()
        .enumerate()
        .map(|(step, _)| History { created_by: format!("step {step}"), ..History::default() })
        .collect();
    let tags: Vec<Reference> = tags.iter().map(|tag| name(tag)).collect();
    store.put_image(config, &layers, &tags, None).unwrap()
}

/// Names in a directory of the store.
fn listing(root: &Path, directory: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.join(directory))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn read_layer_file(store: &Store, image: &Image, path: &str) -> Option<Vec<u8>> {
    let directories = store.lower_dirs(image).unwrap();
    directories.iter().find_map(|directory| std::fs::read(directory.join(path)).ok())
}
