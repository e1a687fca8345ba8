//! A full disk: a clear error, nothing half made. The store is on a small
//! tmpfs in a mount namespace of its own, so the test runs itself there.

use std::process::Command;

use rustix::mount::{MountFlags, mount};
use shoal_model::{Classify, Kind};

use super::{remote::Fake, *};
use crate::{Auth, no_progress};

const INSIDE: &str = "SHOAL_TEST_FULL_DISK";

#[test]
fn nothing_half_made_stays_on_a_full_disk() {
    let mount_point = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::full_disk::inside_the_namespace", "--nocapture"])
        .env(INSIDE, mount_point.path())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// Does nothing unless the test above runs it.
#[test]
fn inside_the_namespace() {
    let Some(path) = std::env::var_os(INSIDE) else { return };
    let options = c"size=8m,mode=755";
    mount("tmpfs", path.as_os_str(), "tmpfs", MountFlags::empty(), options).unwrap();
    let root = Path::new(&path).join("image");
    let store = open(&root);
    let kept = image(&store, &[&[("a", b"kept")]], &["kept"], 1);

    let big = vec![5; 12 << 20];
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = {
        let other = open(elsewhere.path());
        let made = image(&other, &[&[("usr/big", &big)]], &["big"], 2);
        let mut archive = Vec::new();
        other.save(&["big".into()], &mut archive).unwrap();
        drop(made);
        archive
    };
    // A gzip of zeros fits on the disk, and what it unpacks to does not.
    let layer = tar(&[("usr/big", &vec![0; 12 << 20])]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &layer).unwrap();
    let packed = packed.finish().unwrap();

    let errors = [
        store.put_layer(&packed[..], &store.lease()).map(drop).unwrap_err(),
        store.load(&archive[..], no_progress()).map(drop).unwrap_err(),
        store.put_blob(&big[..], &store.lease()).map(drop).unwrap_err(),
    ];
    for error in &errors {
        assert!(error.chain().ends_with("no space left on device"), "{}", error.chain());
        assert_eq!(error.kind(), Kind::Unavailable);
    }
    let text = errors[0].chain();
    assert_eq!(
        text,
        "failed to register layer of new content: write /usr/big: no space left on device"
    );
    for error in pull_too_much(&store) {
        let text = error.chain();
        assert!(text.starts_with("failed to register layer sha256:"), "{text}");
        assert!(text.ends_with(": no space left on device"), "{text}");
        assert_eq!(error.kind(), Kind::Unavailable);
    }
    assert!(listing(&root, "ingest").is_empty());
    assert_eq!(listing(&root, "layers"), [kept.layers[0].hex()]);
    assert_eq!(listing(&root, "blobs/sha256"), [kept.id.hex()]);
    // The room is free again, and the store works.
    image(&store, &[&[("a", &vec![1; 4 << 20])]], &["next"], 3);
    assert_eq!(read_layer_file(&store, &kept, "a").unwrap(), b"kept");
}

/// Pulls a layer that is small and unpacks to too much, and one whose bytes
/// already are too many.
fn pull_too_much(store: &Store) -> Vec<crate::Error> {
    let noise: Vec<u8> =
        (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut errors = Vec::new();
        for content in [vec![0; 12 << 20], noise] {
            let fake = Fake::start().await;
            fake.add_image(&[("usr/big", &content)]);
            let pulled = store.pull(&fake.name(), &Auth::Anonymous, None, no_progress()).await;
            errors.push(pulled.map(drop).unwrap_err());
        }
        errors
    })
}
