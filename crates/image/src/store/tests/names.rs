//! Names: resolving, tagging, listing, removing.

use shoal_model::{Classify, Kind};

use super::*;
use crate::{Error, ListFilter, Pin, PruneFilter, Removed};

fn tags_of(images: &[Image]) -> Vec<String> {
    images.iter().flat_map(|image| image.repo_tags.clone()).collect()
}

#[test]
fn an_image_is_found_by_name_digest_and_beginning_of_its_id() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let made = image(&store, &[&[("a", b"1")]], &["web", "localhost:5000/web:2"], 100);
    for text in [
        "web",
        "web:latest",
        "docker.io/library/web:latest",
        "localhost:5000/web:2",
        made.id.as_str(),
        made.id.hex(),
        made.id.short(),
        &made.id.as_str()[..20],
    ] {
        assert_eq!(store.resolve(text).unwrap().id, made.id, "{text}");
    }
    for (text, message) in [
        ("web:3", "No such image: web:3"),
        ("nope", "No such image: nope:latest"),
        ("localhost:5000/web", "No such image: localhost:5000/web:latest"),
        (&"0".repeat(64), &format!("No such image: sha256:{}", "0".repeat(64))),
    ] {
        let error = store.resolve(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (message, Kind::NotFound));
    }
    assert_eq!(store.resolve("UPPER").unwrap_err().kind(), Kind::Invalid);
    assert_eq!(made.size, 1);
    assert_eq!(made.repo_tags, ["web:latest", "localhost:5000/web:2"]);
}

#[test]
fn an_ambiguous_beginning_of_an_id_names_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for number in 0..40 {
        image(&store, &[&[("a", format!("{number}").as_bytes())]], &[], number);
    }
    let ambiguous = "0123456789abcdef".chars().filter(|digit| {
        let images = store.list(&ListFilter::default()).unwrap();
        images.iter().filter(|image| image.id.hex().starts_with(*digit)).count() > 1
    });
    for digit in ambiguous {
        assert!(store.resolve(&digit.to_string()).is_err());
    }
}

#[test]
fn a_tag_moves_and_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = {
        let store = open(root.path());
        let first = image(&store, &[&[("a", b"1")]], &["x:1"], 100);
        let second = image(&store, &[&[("a", b"2")]], &["x:2"], 200);
        store.tag("x:2", &name("x:1")).unwrap();
        assert!(matches!(
            store.tag("x:2", &name(&format!("x@{}", first.id))),
            Err(Error::TagWithDigest)
        ));
        assert_eq!(store.tag("nope", &name("y")).unwrap_err().kind(), Kind::NotFound);
        (first, second)
    };
    let store = open(root.path());
    assert_eq!(store.resolve("x:1").unwrap().id, second.id);
    assert_eq!(store.resolve("x:1").unwrap().repo_tags, ["x:1", "x:2"]);
    assert!(store.get(&first.id).unwrap().repo_tags.is_empty());
    assert!(store.resolve("x:1").unwrap().last_tagged.is_some());
    assert_eq!(read_layer_file(&store, &second, "a").unwrap(), b"2");
}

#[test]
fn two_processes_cannot_have_one_store() {
    let root = tempfile::tempdir().unwrap();
    let _store = open(root.path());
    let error = Store::open(root.path(), StoreConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
}

#[test]
fn lists_are_filtered_and_newest_first() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    image(&store, &[&[("a", b"1")]], &["old:1"], 100);
    image(&store, &[&[("a", b"2")]], &["localhost:5000/team/app:1"], 200);
    image(&store, &[&[("a", b"3")]], &["new:1", "new:2"], 300);
    image(&store, &[&[("a", b"4")]], &[], 250);
    let list = |filter: ListFilter| tags_of(&store.list(&filter).unwrap());
    assert_eq!(
        list(ListFilter::default()),
        ["new:1", "new:2", "localhost:5000/team/app:1", "old:1"]
    );
    let references = vec!["new:2".into(), "localhost:5000/*/*".into()];
    assert_eq!(
        list(ListFilter { references, ..ListFilter::default() }),
        ["new:2", "localhost:5000/team/app:1"]
    );
    assert_eq!(list(ListFilter { before: Some("new:1".into()), ..ListFilter::default() }).len(), 2);
    assert_eq!(
        list(ListFilter { since: Some("old:1".into()), ..ListFilter::default() }),
        ["new:1", "new:2", "localhost:5000/team/app:1"]
    );
    let dangling = store.list(&ListFilter { dangling: Some(true), ..ListFilter::default() });
    assert_eq!(dangling.unwrap().len(), 1);
    assert!(
        store.list(&ListFilter { since: Some("nope".into()), ..ListFilter::default() }).is_err()
    );
}

#[test]
fn an_image_with_nothing_but_a_digest_dangles() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (base, child) = family(&store);
    let left = image(&store, &[&[("a", b"2")]], &["pulled"], 50);
    let digest = name("pulled").without_suffix().with_digest(left.id.clone());
    store
        .inner
        .update(|index| {
            index.digests.insert(digest.clone(), left.id.clone());
            index.untag(&name("pulled").with_default_tag());
            index.untag(&name("base").with_default_tag());
            Ok(())
        })
        .unwrap();
    let list = |dangling, all| -> Vec<Digest> {
        let filter = ListFilter { dangling, all, ..ListFilter::default() };
        store.list(&filter).unwrap().into_iter().map(|image| image.id).collect()
    };
    assert_eq!(list(Some(true), false), std::slice::from_ref(&left.id));
    // Some that are neither: what has a digest is not nameless.
    for all in [false, true] {
        let named = list(Some(false), all);
        assert!(named.contains(&left.id) && named.contains(&child.id) && named.len() == 2);
    }
    assert!(list(None, true).contains(&base.id) && !list(None, false).contains(&base.id));
}

#[test]
fn the_image_goes_with_its_last_name() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let shared: &[(&str, &[u8])] = &[("base", b"base")];
    let made = image(&store, &[shared, &[("a", b"1")]], &["x:1", "x:2"], 100);
    let other = image(&store, &[shared], &["base"], 50);
    assert_eq!(
        store.remove("x:1", false, true, &nobody).unwrap(),
        [Removed::Untagged("x:1".into())]
    );
    assert_eq!(store.get(&made.id).unwrap().repo_tags, ["x:2"]);
    let removed = store.remove("x:2", false, true, &nobody).unwrap();
    assert_eq!(removed[..2], [Removed::Untagged("x:2".into()), Removed::Deleted(made.id.clone())]);
    // One layer was its own; the other one is still in use.
    assert_eq!(removed.len(), 3);
    assert!(store.get(&made.id).is_err());
    assert_eq!(listing(root.path(), "layers"), [other.layers[0].hex()]);
    assert_eq!(listing(root.path(), "blobs/sha256"), [other.id.hex()]);
    assert!(listing(root.path(), "ingest").is_empty());
    assert_eq!(store.remove("x:2", false, true, &nobody).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn an_id_takes_one_name_along_and_not_several() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let made = image(&store, &[&[("a", b"1")]], &["x:1", "y:1"], 100);
    let error = store.remove(made.id.short(), false, true, &nobody).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {} (must be forced) - \
             image is referenced in multiple repositories",
            made.id.short()
        )
    );
    let removed = store.remove(made.id.as_str(), true, true, &nobody).unwrap();
    assert_eq!(
        removed[..3],
        [
            Removed::Untagged("x:1".into()),
            Removed::Untagged("y:1".into()),
            Removed::Deleted(made.id)
        ]
    );
    let single = image(&store, &[&[("a", b"1")]], &["x:1"], 100);
    assert!(store.remove(single.id.short(), false, true, &nobody).is_ok());
}

#[test]
fn what_containers_use_is_protected() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let made = image(&store, &[&[("a", b"1")]], &["x:1"], 100);
    let container = "0123456789abcdef".to_owned();
    let used = |running| {
        let container = container.clone();
        move |_: &Digest| vec![ImageUse { container: container.clone(), running }]
    };
    let short = made.id.short();
    let error = |name: &str, force, running: bool| {
        store.remove(name, force, true, &used(running)).unwrap_err().to_string()
    };
    assert_eq!(
        error("x:1", false, false),
        format!(
            "conflict: unable to remove repository reference \"x:1\" (must force) - \
             container 0123456789ab is using its referenced image {short}"
        )
    );
    assert_eq!(
        error(short, false, false),
        format!(
            "conflict: unable to delete {short} (must be forced) - \
             image is being used by stopped container 0123456789ab"
        )
    );
    assert_eq!(
        error(short, true, true),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - \
             image is being used by running container 0123456789ab"
        )
    );
    // A container that outlives its image keeps its layers by a lease.
    let lease = store.lease_layers(&made.layers);
    store.remove(short, true, true, &used(false)).unwrap();
    assert!(store.layer_dirs(&made.layers).is_ok());
    drop(lease);
    store.collect_garbage().unwrap();
    assert!(store.layer_dirs(&made.layers).is_err());
    assert!(listing(root.path(), "layers").is_empty());
}

#[test]
fn parents_without_names_go_with_their_last_child() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let parent = image(&store, &[&[("a", b"1")]], &[], 100);
    let mut config = (*parent.config).clone();
    config.config.env = vec!["A=b".into()];
    let child =
        store.put_image(config, &parent.layers, &[name("child")], Some(&parent.id)).unwrap();
    assert_eq!(store.list(&ListFilter::default()).unwrap().len(), 1);
    assert_eq!(store.list(&ListFilter { all: true, ..ListFilter::default() }).unwrap().len(), 2);
    let error = store.remove(parent.id.short(), true, true, &nobody).unwrap_err();
    assert!(error.to_string().ends_with("(cannot be forced) - image has dependent child images"));
    let history = store.history("child").unwrap();
    assert_eq!(history[0].id, Some(child.id));
    assert_eq!(history[0].tags, ["child:latest"]);
    store.remove("child", false, true, &nobody).unwrap();
    assert!(store.list(&ListFilter { all: true, ..ListFilter::default() }).unwrap().is_empty());
}

/// An image named `base` and one named `child` that was built upon it.
fn family(store: &Store) -> (Image, Image) {
    let base = image(store, &[&[("a", b"1")]], &["base"], 100);
    let mut config = (*base.config).clone();
    config.config.env = vec!["A=b".into()];
    let child = store.put_image(config, &base.layers, &[name("child")], Some(&base.id)).unwrap();
    (base, child)
}

#[test]
fn each_image_is_shown_at_the_step_it_ends_with() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let base = image(&store, &[&[("a", b"1")]], &["base"], 100);
    let mut config = (*base.config).clone();
    let step =
        |text: &str| History { created_by: text.into(), empty_layer: true, ..History::default() };
    config.history.extend([step("ENV"), step("CMD")]);
    let child = store.put_image(config, &base.layers, &[name("child")], Some(&base.id)).unwrap();
    let history = store.history("child").unwrap();
    let ids: Vec<_> = history.iter().map(|step| step.id.clone()).collect();
    assert_eq!(ids, [Some(child.id), None, Some(base.id)]);
}

#[test]
fn a_name_goes_although_the_image_is_needed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (base, _) = family(&store);
    let untagged = |name: &str| [Removed::Untagged(format!("{name}:latest"))];
    assert_eq!(store.remove("base", false, true, &nobody).unwrap(), untagged("base"));
    assert!(store.get(&base.id).unwrap().repo_tags.is_empty());

    let used = |_: &Digest| vec![ImageUse { container: "0123456789abcdef".into(), running: true }];
    let error = store.remove("child", false, true, &used).unwrap_err();
    assert!(error.to_string().contains("(must force)"), "{error}");
    assert!(store.resolve("child").is_ok(), "refused before anything was done");
    assert_eq!(store.remove("child", true, true, &used).unwrap(), untagged("child"));
    assert_eq!(store.usage().images, 2);
}

#[test]
fn a_prune_tells_of_names_whose_image_stays() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (_, child) = family(&store);
    let in_use = |id: &Digest| {
        let user = ImageUse { container: "c".into(), running: true };
        if *id == child.id { vec![user] } else { Vec::new() }
    };
    let all = PruneFilter { all: true, ..PruneFilter::default() };
    let pruned = store.prune(&all, &in_use).unwrap();
    assert_eq!(pruned.removed, [Removed::Untagged("base:latest".into())]);
    assert_eq!(store.usage().images, 2);
}

#[test]
fn a_prune_takes_what_has_no_name_and_no_user() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    image(&store, &[&[("a", b"named")]], &["x:1"], 100);
    image(&store, &[&[("a", b"dangling")]], &[], 100);
    let used = image(&store, &[&[("a", b"used")]], &[], 100);
    let in_use = |id: &Digest| {
        let user = ImageUse { container: "c".into(), running: true };
        if *id == used.id { vec![user] } else { Vec::new() }
    };
    let pruned = store.prune(&PruneFilter::default(), &in_use).unwrap();
    assert_eq!(pruned.reclaimed, 8);
    assert_eq!(store.usage().images, 2);
    let pruned = store.prune(&PruneFilter { all: true, ..PruneFilter::default() }, &in_use);
    assert_eq!(pruned.unwrap().removed[0], Removed::Untagged("x:1".into()));
    assert_eq!(store.usage().images, 1);
}

#[test]
fn an_image_is_found_and_held_at_once() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let made = image(&store, &[&[("a", b"1")]], &["x:1"], 100);
    let lease = store.lease();
    assert_eq!(store.resolve_and_lease("x:1", &lease).unwrap().id, made.id);
    store.remove("x:1", false, true, &nobody).unwrap();
    assert!(store.resolve_and_lease("x:1", &lease).is_err());
    assert!(store.layer_dirs(&made.layers).is_ok() && store.open_blob(&made.id).is_ok());
    drop(lease);
    store.collect_garbage().unwrap();
    assert!(store.layer_dirs(&made.layers).is_err() && store.open_blob(&made.id).is_err());
}

#[test]
fn leases_and_pins_keep_content() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let lease = store.lease();
    let leased = store.put_layer(&tar(&[("a", b"1")])[..], &lease).unwrap();
    let pinned = store.put_layer(&tar(&[("a", b"2")])[..], &lease).unwrap();
    let (blob, _) = store.put_blob(&b"cached"[..], &lease).unwrap();
    let pin = Pin {
        name: "build/abc".into(),
        layers: vec![pinned.diff_id.clone()],
        blobs: vec![blob.clone()],
        data: serde_json::json!({ "config": 1 }),
        created: Timestamp::from_seconds(5),
    };
    store.pin(&pin).unwrap();
    assert_eq!(store.collect_garbage().unwrap(), 0);
    drop(lease);
    assert_eq!(store.collect_garbage().unwrap(), 1);
    assert!(store.layer(&leased.diff_id).is_none());
    drop(store);
    let store = open(root.path());
    assert_eq!(store.pinned("build/abc"), Some(pin.clone()));
    assert_eq!(store.pins("build/"), std::slice::from_ref(&pin));
    assert!(store.pins("other/").is_empty());
    store.collect_garbage().unwrap();
    assert!(store.layer(&pinned.diff_id).is_some());
    assert!(store.open_blob(&blob).is_ok());
    store.unpin("build/abc").unwrap();
    store.collect_garbage().unwrap();
    assert!(store.layer(&pinned.diff_id).is_none());
    assert!(store.open_blob(&blob).is_err());
    assert!(matches!(store.pin(&pin), Err(Error::NoSuchContent(_))));
}

#[test]
fn an_image_without_layers_has_an_empty_directory() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let made = image(&store, &[], &["empty"], 100);
    let directories = store.lower_dirs(&made).unwrap();
    assert_eq!(directories.len(), 1);
    assert_eq!(std::fs::read_dir(&directories[0]).unwrap().count(), 0);
}
