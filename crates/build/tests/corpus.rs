//! Dockerfiles that other parsers stumble over: what is read of each, and the
//! plan that is made of it, as reviewed text. Each file also has to display as
//! a file that reads the same.

use std::path::Path;

use shoal_build::{
    BuildRequest,
    dockerfile::{self, Dockerfile},
    graph::Graph,
};
use shoal_model::Platform;

#[test]
fn the_corpus_is_read_as_reviewed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "the corpus is gone");
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        let file = dockerfile::parse(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap();
        insta::assert_snapshot!(name, dump(&file));
        let again = dockerfile::parse(file.to_string().as_bytes())
            .unwrap_or_else(|e| panic!("{name}: {e}\n{file}"));
        assert_eq!(commands(&again), commands(&file), "{name}:\n{file}");
    }
}

fn commands(file: &Dockerfile) -> Vec<&dockerfile::Command> {
    file.instructions.iter().map(|instruction| &instruction.command).collect()
}

fn dump(file: &Dockerfile) -> String {
    let mut text = String::new();
    for directive in &file.directives {
        text.push_str(&format!("{}: {} = {}\n", directive.line, directive.name, directive.value));
    }
    for instruction in &file.instructions {
        let lines = match (instruction.line, instruction.end_line) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        text.push_str(&format!("{lines}: {:?}\n", instruction.command));
    }
    for (line, warning) in &file.warnings {
        text.push_str(&format!("warning {line}: {warning}\n"));
    }
    let request =
        BuildRequest { platform: Platform::parse("linux/amd64"), ..BuildRequest::default() };
    match Graph::new(file, &request) {
        Ok(graph) => text.push_str(&format!("\n{graph}")),
        Err(error) => text.push_str(&format!("\n{error}\n")),
    }
    text
}
