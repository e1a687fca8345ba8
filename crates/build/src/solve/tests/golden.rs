//! A build beside one of Docker's own.

use super::*;

/// `tests/golden/classic.json` is what Docker 20.10's classic builder made of
/// `classic.Dockerfile`, without times and ids. Two things were changed in it:
/// the blank Docker forgets behind `--chown`, and `StartInterval`, which is
/// newer, in the text of the health check.
#[tokio::test]
async fn the_document_is_what_dockers_classic_builder_writes() {
    let mut bench = Bench::new().await;
    bench.request.labels.insert("lab".into(), "el".into());
    for (name, value) in [("NODEF", "given"), ("UNUSED", "1")] {
        bench.request.build_args.insert(name.into(), Some(value.into()));
    }
    let context = TarContext::new()
        .file("rootfs.tar", crate::testing::busybox_rootfs().unwrap())
        .file("a.txt", "hi\n")
        .file("d/one", "1\n")
        .file("d/sub/two", "2\n");
    let dockerfile = include_str!("../../../tests/golden/classic.Dockerfile");
    let outcome = bench.build_with(context, dockerfile).await;
    let mut document = serde_json::to_value(outcome.config()).unwrap();
    document.as_object_mut().unwrap().remove("created");
    for entry in document["history"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("created");
        let text = entry["created_by"].as_str().unwrap();
        let mut words: Vec<&str> = text.split(' ').collect();
        for word in &mut words {
            for kind in ["file:", "dir:", "multi:"] {
                if word.strip_prefix(kind).is_some_and(|hash| hash.len() == 64) {
                    *word = match kind {
                        "file:" => "file:HASH",
                        "dir:" => "dir:HASH",
                        _ => "multi:HASH",
                    };
                }
            }
        }
        let text = words.join(" ");
        entry["created_by"] = text.into();
    }
    let layers = document["rootfs"]["diff_ids"].as_array().unwrap().len();
    document["rootfs"]["diff_ids"] = layers.into();
    let golden = include_str!("../../../tests/golden/classic.json");
    let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&document).unwrap(),
        serde_json::to_string_pretty(&golden).unwrap()
    );
    let expected = "Step 8/31 : FROM base\n# Executing 2 build triggers\ntrigger\n ---> ID\n\
                    Step 9/31 : ARG G\n ---> ID\n";
    assert!(outcome.text.contains(expected), "{}", outcome.text);
    assert!(outcome.text.starts_with(
        "Step 1/31 : ARG G=glob\nStep 2/31 : FROM scratch AS base\n ---> \nStep 3/31"
    ));
}
