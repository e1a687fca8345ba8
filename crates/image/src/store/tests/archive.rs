//! `save` and `load`, ours and others' forms.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::json;
use sha2::Digest as _;

use super::*;
use crate::{Error, LayerState, Progress, ProgressSink, no_progress};

fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256(sha2::Sha256::digest(bytes).into())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut out = Vec::new();
    store.save(&names, &mut out).unwrap();
    out
}

fn recorder() -> (ProgressSink, Arc<Mutex<Vec<Progress>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    (Arc::new(move |event| sink.lock().unwrap().push(event)), events)
}

/// A document of an image with these layers.
fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest(layer)).collect();
    let platform = Platform::host();
    json!({
        "architecture": platform.architecture, "os": "linux", "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
    .into_bytes()
}

#[test]
fn a_saved_image_loads_elsewhere_as_the_same() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(from.path());
    let big = vec![7; 3_000_000];
    let made = image(&store, &[&[("a", b"1"), ("big", &big)], &[("b", b"2")]], &["x:1", "x:2"], 9);
    let archive = save(&store, &["x"]);
    assert_eq!(archive, save(&store, &["x"]), "the same images give the same archive");
    let other = open(to.path());
    for packed in [archive.clone(), gzip(&archive), zstd::encode_all(&archive[..], 1).unwrap()] {
        let (sink, events) = recorder();
        let loaded = other.load(&packed[..], sink).unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].id, made.id);
        assert_eq!(loaded[0].repo_tags, ["x:1", "x:2"]);
        assert_eq!(read_layer_file(&other, &loaded[0], "big").unwrap(), big);
        let events = events.lock().unwrap();
        assert!(events.contains(&Progress::Loaded("Loaded image: x:2".into())), "{events:?}");
    }
    // What was loaded can be saved again, byte for byte the same.
    assert!(save(&other, &["x:1", "x:2"]) == archive);
    let only = save(&other, &[made.id.short()]);
    other.remove("x:1", false, true, &nobody).unwrap();
    other.remove("x:2", false, true, &nobody).unwrap();
    assert!(listing(to.path(), "blobs/sha256").is_empty());
    let (sink, events) = recorder();
    assert!(other.load(&only[..], sink).unwrap()[0].repo_tags.is_empty());
    let last = Progress::Loaded(format!("Loaded image ID: {}", made.id));
    let events = events.lock().unwrap();
    assert_eq!(*events.last().unwrap(), last);
    let loading = |event: &&Progress| {
        matches!(event, Progress::Layer { state: LayerState::LoadingLayer, .. })
    };
    assert!(events.iter().filter(loading).count() >= 2);
    assert!(matches!(
        store.save(&["nope".into()], &mut Vec::new()),
        Err(Error::NoSuchImage(name)) if name == "nope:latest"
    ));
}

#[test]
fn an_image_removed_while_it_is_saved_is_saved() {
    /// Removes the image when the first bytes come.
    struct Removing<'a>(&'a Store, Vec<u8>);
    impl Write for Removing<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                self.0.remove("x:1", false, true, &nobody).unwrap();
            }
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    image(&store, &[&[("a", b"1")]], &["x:1"], 100);
    let whole = save(&store, &["x:1"]);
    let mut out = Removing(&store, Vec::new());
    store.save(&["x:1".into()], &mut out).unwrap();
    assert!(out.1 == whole);
    assert!(store.resolve("x:1").is_err());
}

#[test]
fn the_old_form_of_docker_loads() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let layer = tar(&[("a", b"1")]);
    let config = config(&[&layer, &layer]);
    let id = digest(&config);
    let manifest = json!([{
        "Config": format!("{}.json", id.hex()), "RepoTags": ["legacy:1"],
        "Layers": ["aa/layer.tar", "bb/layer.tar"],
    }]);
    let mut writer = TarWriter::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        writer.entry(&entry(path, EntryKind::Regular, content.len())).unwrap();
        writer.data(content).unwrap();
    };
    add("aa/VERSION", b"1.0");
    add("aa/json", b"{}");
    add("aa/layer.tar", &layer);
    add(&format!("{}.json", id.hex()), &config);
    add("manifest.json", manifest.to_string().as_bytes());
    add("repositories", br#"{"legacy":{"1":"bb"}}"#);
    let mut again = entry("bb/layer.tar", EntryKind::Symlink, 0);
    again.link = b"../aa/layer.tar".to_vec();
    writer.entry(&again).unwrap();
    let loaded = store.load(&writer.finish().unwrap()[..], no_progress()).unwrap();
    assert_eq!((&loaded[0].id, &loaded[0].repo_tags[..]), (&id, &["legacy:1".to_owned()][..]));
    assert_eq!(store.lower_dirs(&loaded[0]).unwrap().len(), 1);
}

#[test]
fn what_docker_does_not_load_is_refused_and_a_name_that_moves_is_told() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let layer = tar(&[("a", b"1")]);
    let load = |config: &str, tag: &str, sink| {
        let list = json!([{ "Config": "c", "RepoTags": [tag], "Layers": ["l"] }]).to_string();
        let members: [(&str, &[u8]); 3] =
            [("c", config.as_bytes()), ("l", &layer), ("manifest.json", list.as_bytes())];
        store.load(&tar(&members)[..], sink)
    };
    let good = String::from_utf8(config(&[&layer])).unwrap();
    let step = r#"{"created_by":"x"}"#;
    let long = good.replacen('{', &format!("{{\"history\":[{step},{step}],"), 1);
    let digest_name = format!("x@{}", digest(b""));
    for (config, tag, reason) in [
        (good.replace("linux", "windows"), "x:1", "cannot load windows image on linux"),
        (long, "x:1", "too many non-empty layers in History section"),
        (good.clone(), digest_name.as_str(), "invalid tag \"x@sha256:"),
    ] {
        let error = load(&config, tag, no_progress()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let old = load(&good, "x:1", no_progress()).unwrap().remove(0).id;
    let (sink, events) = recorder();
    load(&good.replace("\"sh\"", "\"ash\""), "x:1", sink).unwrap();
    let told =
        format!("The image x:1 already exists, renaming the old one with ID {old} to empty string");
    assert!(events.lock().unwrap().contains(&Progress::Loaded(told)));
}

#[test]
fn a_list_of_too_many_images_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let list = format!("[{}{{\"Config\":\"c\"}}]", "{\"Config\":\"c\"},".repeat(5000));
    let archive = tar(&[("c", b"{}"), ("manifest.json", list.as_bytes())]);
    let error = store.load(&archive[..], no_progress()).unwrap_err();
    assert!(error.to_string().contains("too many images"), "{error}");
}

/// A plain OCI layout with compressed layers, as skopeo and buildkit write it.
fn layout(blobs: &[&[u8]], index: &serde_json::Value) -> Vec<u8> {
    let paths: Vec<String> =
        blobs.iter().map(|blob| format!("blobs/sha256/{}", digest(blob).hex())).collect();
    let index = index.to_string();
    let mut files: Vec<(&str, &[u8])> = vec![("./oci-layout", b"{}")];
    files.extend(paths.iter().map(String::as_str).zip(blobs.iter().copied()));
    files.push(("./index.json", index.as_bytes()));
    tar(&files)
}

fn describe(kind: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() })
}

fn oci_manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    use crate::manifest::{OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
    let layers: Vec<_> = layers.iter().map(|layer| describe(OCI_LAYER_GZIP, layer)).collect();
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": describe(OCI_CONFIG, config), "layers": layers,
    })
    .to_string()
    .into_bytes()
}

#[test]
fn an_oci_layout_with_a_nested_index_loads_for_this_machine() {
    use crate::manifest::{OCI_INDEX, OCI_MANIFEST};
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let plain = tar(&[("a", b"1")]);
    let packed = gzip(&plain);
    let config = config(&[&plain]);
    let manifest = oci_manifest(&config, &[&packed]);
    let mut own = describe(OCI_MANIFEST, &manifest);
    own["platform"] = json!({ "os": "linux", "architecture": Platform::host().architecture });
    let mut foreign = describe(OCI_MANIFEST, b"not here");
    foreign["platform"] = json!({ "os": "linux", "architecture": "s390x" });
    let nested = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [foreign, own] })
        .to_string();
    let mut top = describe(OCI_INDEX, nested.as_bytes());
    top["annotations"] = json!({ "org.opencontainers.image.ref.name": "localhost:5000/x:1" });
    let index = json!({ "schemaVersion": 2, "manifests": [top] });
    let archive = layout(&[&packed, &config, &manifest, nested.as_bytes()], &index);
    let loaded = store.load(&archive[..], no_progress()).unwrap();
    assert_eq!(loaded[0].repo_tags, ["localhost:5000/x:1"]);
    assert_eq!(read_layer_file(&store, &loaded[0], "a").unwrap(), b"1");
    // The compressed form is kept, and gives the layer back.
    let mut back = Vec::new();
    store.inner.write_layer(&loaded[0].layers[0], &mut back).unwrap();
    assert_eq!(back, plain);
}

#[test]
fn what_does_not_match_its_digest_is_refused_and_leaves_nothing() {
    use crate::manifest::OCI_MANIFEST;
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (plain, other) = (tar(&[("a", b"1")]), tar(&[("a", b"2")]));
    let packed = gzip(&plain);
    let good = config(&[&plain]);
    // The config names another layer than the manifest.
    let lying = config(&[&other]);
    let manifest = oci_manifest(&lying, &[&packed]);
    let index = json!({ "schemaVersion": 2, "manifests": [describe(OCI_MANIFEST, &manifest)] });
    let wrong_layer = layout(&[&packed, &lying, &manifest], &index);
    // A blob is stored under a digest that is not its own.
    let manifest = oci_manifest(&good, &[&packed]);
    let index = json!({ "schemaVersion": 2, "manifests": [describe(OCI_MANIFEST, &manifest)] });
    let path = format!("blobs/sha256/{}", digest(&packed).hex());
    let (config_path, manifest_path) = (
        format!("blobs/sha256/{}", digest(&good).hex()),
        format!("blobs/sha256/{}", digest(&manifest).hex()),
    );
    let wrong_name = tar(&[
        (&path, &gzip(&other)),
        (&config_path, &good),
        (&manifest_path, &manifest),
        ("index.json", index.to_string().as_bytes()),
    ]);
    for archive in [wrong_layer, wrong_name] {
        let error = store.load(&archive[..], no_progress()).unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error:?}");
    }
    assert!(listing(root.path(), "layers").is_empty());
    assert!(listing(root.path(), "ingest").is_empty());
    store.collect_garbage().unwrap();
    assert!(listing(root.path(), "blobs/sha256").is_empty());
    assert_eq!(store.usage().images, 0);
}

#[test]
fn archives_that_are_none_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let layer = tar(&[("a", b"1")]);
    let config = config(&[&layer]);
    let docker = |layers: &str, tags: &str| {
        format!(r#"[{{"Config":"c.json","RepoTags":{tags},"Layers":{layers}}}]"#)
    };
    let with = |manifest: &str| {
        tar(&[("c.json", &config), ("l.tar", &layer), ("manifest.json", manifest.as_bytes())])
    };
    for (archive, words) in [
        (Vec::new(), "neither manifest.json nor index.json"),
        (b"no tar at all".repeat(100), "invalid tar header"),
        (with("{"), "manifest.json"),
        (with(&docker("[]", "null")), "layers length mismatch: expected 1, got 0"),
        (with(&docker(r#"["../../etc/passwd"]"#, "null")), "not in the archive"),
        (with(&docker(r#"["missing"]"#, "null")), "missing: not in the archive"),
        (with(&docker(r#"["l.tar"]"#, r#"["Bad:Tag:x"]"#)), "invalid reference format"),
        (tar(&[("../x", b"")]), "invalid member name"),
        (tar(&[("repositories", b"{}")]), "Docker before 1.10"),
        (with(&docker(r#"["l.tar"]"#, "null"))[..1500].to_vec(), "it ends too early"),
        (b"junk".to_vec(), "it ends too early"),
    ] {
        let error = store.load(&archive[..], no_progress()).unwrap_err();
        let text = shoal_model::Classify::chain(&error);
        assert!(text.contains(words), "{words}: {text}");
        assert!(listing(root.path(), "ingest").is_empty(), "{words}");
    }
    assert_eq!(store.usage().images, 0);
    assert_eq!(
        store.load(&with(&docker(r#"["l.tar"]"#, "null"))[..], no_progress()).unwrap().len(),
        1
    );
}

/// Reads what others write: real programs, not our idea of them.
#[test]
fn skopeo_reads_what_is_saved_and_writes_what_is_loaded() {
    let (root, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(root.path());
    let made = image(&store, &[&[("a", b"1")], &[("b", b"2")]], &["example.test/x:1"], 9);
    let at = |name: &str| work.path().join(name).display().to_string();
    let skopeo = |from: String, to: String| {
        let output = std::process::Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet"])
            .args([from, to])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(at("saved.tar"), save(&store, &["example.test/x:1"])).unwrap();
    for (kind, other) in [("docker-archive", "oci-archive"), ("oci-archive", "docker-archive")] {
        let back = at(&format!("{kind}.tar"));
        let target = format!("{other}:{back}:example.test/y:1");
        skopeo(format!("{kind}:{}", at("saved.tar")), target);
        let elsewhere = tempfile::tempdir().unwrap();
        let store = open(elsewhere.path());
        let file = std::fs::File::open(&back).unwrap();
        let loaded = store.load(file, no_progress()).unwrap();
        assert_eq!(loaded[0].layers, made.layers, "{kind}");
        assert_eq!(read_layer_file(&store, &loaded[0], "b").unwrap(), b"2");
        assert_eq!(loaded[0].repo_tags, ["example.test/y:1"], "{kind}");
    }
}
