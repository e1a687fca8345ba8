use serde_json::json;

use super::*;
use crate::dockerfile;

/// A stage after the instructions of a text.
fn after(source: &str) -> Result<State, String> {
    after_on(State::scratch(&Platform::parse("linux/amd64").unwrap()), source)
}

fn after_on(mut state: State, source: &str) -> Result<State, String> {
    let none = BTreeMap::new();
    let scope = Scope { build_args: &none, global_args: &none, escape: '\\' };
    let file = dockerfile::parse(source.as_bytes()).unwrap();
    for instruction in file.instructions {
        match resolve(&instruction.command, &state, scope)? {
            Step::Change(change) => {
                let comment = change.comment();
                change.apply(&mut state);
                let key = state.key.step([comment.as_str()]);
                state.advance(key, None, "2026-01-01T00:00:00Z", comment);
            }
            Step::Workdir(path) => state.config.config.working_dir = path,
            other => panic!("{other:?}"),
        }
    }
    Ok(state)
}

fn history(state: &State) -> Vec<&str> {
    state.config.history.iter().map(|entry| entry.created_by.as_str()).collect()
}

#[test]
fn an_entrypoint_resets_the_bases_command_and_not_the_stages_own() {
    let base = after("CMD [\"base\"]\n").unwrap();
    let state = after_on(State::stage(&base), "ENTRYPOINT [\"e\"]\n").unwrap();
    assert_eq!(
        (state.config.config.cmd, state.config.config.entrypoint),
        (None, Some(vec!["e".into()]))
    );
    let state = after_on(State::stage(&base), "CMD [\"own\"]\nENTRYPOINT [\"e\"]\n").unwrap();
    assert_eq!(state.config.config.cmd.unwrap(), ["own"]);
    let state = after("ENTRYPOINT x\nENTRYPOINT []\nCMD []\n").unwrap();
    assert_eq!((state.config.config.entrypoint, state.config.config.cmd), (None, Some(vec![])));
}

#[test]
fn the_shell_form_uses_the_shell() {
    let state = after("CMD a b\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT c $d\n").unwrap();
    assert_eq!(state.config.config.entrypoint.unwrap(), ["/bin/bash", "-c", "c $d"]);
    let state = after("CMD a b\n").unwrap();
    assert_eq!(state.config.config.cmd.unwrap(), ["/bin/sh", "-c", "a b"]);
}

#[test]
fn variables_are_those_before_the_instruction() {
    let state =
        after("ENV a=1 b=$a\nENV a=2 c=$a d='$a' e=\"x $b\"\nENV legacy some $a text\n").unwrap();
    assert_eq!(
        state.config.config.env[1..],
        ["a=2", "b=", "c=1", "d=$a", "e=x ", "legacy=some 2 text"]
    );
}

#[test]
fn directories_add_up() {
    for (source, expected) in [
        ("WORKDIR a\n", "/a"),
        ("WORKDIR /a\nWORKDIR b/../c\n", "/a/c"),
        ("ENV d=/x/y\nWORKDIR $d/z/\n", "/x/y/z"),
        ("WORKDIR /a\nWORKDIR ../../..\n", "/"),
    ] {
        assert_eq!(after(source).unwrap().config.config.working_dir, expected);
    }
}

#[test]
fn histories_are_written_as_docker_writes_them() {
    let state = after(
        "ARG x=1\nENV a=b c=\"d e\"\nLABEL l=\"m\\\"n\"\nCMD [\"a\", \"b\\\"\"]\nENTRYPOINT x\nEXPOSE 81 80\nUSER me\nVOLUME [\"/a b\", \"/c\"]\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\nMAINTAINER Me <me@x>\nONBUILD RUN x\nHEALTHCHECK --interval=5s --retries=3 CMD curl -f x\nHEALTHCHECK NONE\n",
    )
    .unwrap();
    assert_eq!(
        history(&state),
        [
            "ARG x=1",
            "ENV a=b c=d e",
            "LABEL l=m\"n",
            "CMD [\"a\" \"b\\\"\"]",
            "ENTRYPOINT [\"/bin/sh\" \"-c\" \"x\"]",
            "EXPOSE 80 81",
            "USER me",
            "VOLUME [/a b /c]",
            "STOPSIGNAL SIGINT",
            "SHELL [/bin/bash -c]",
            "MAINTAINER Me <me@x>",
            "ONBUILD RUN x",
            "HEALTHCHECK &{[\"CMD-SHELL\" \"curl -f x\"] \"5s\" \"0s\" \"0s\" \"0s\" '\\x03'}",
            "HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x00'}",
        ]
    );
}

#[test]
fn the_configuration_is_dockers_document() {
    let state = after(
        "LABEL a=b\nEXPOSE 80\nVOLUME /v\nUSER 1:2\nSTOPSIGNAL 9\nHEALTHCHECK --timeout=1m CMD [\"x\"]\nCMD [\"y\"]\nONBUILD COPY . .\n",
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(&state.config.config).unwrap(),
        json!({
            "User": "1:2",
            "ExposedPorts": {"80/tcp": {}},
            "Env": [DEFAULT_PATH],
            "Cmd": ["y"],
            "Volumes": {"/v": {}},
            "Labels": {"a": "b"},
            "StopSignal": "9",
            "Healthcheck": {"Test": ["CMD", "x"], "Timeout": 60_000_000_000_i64},
            "OnBuild": ["COPY . ."],
        })
    );
    assert_eq!(state.config.architecture, "amd64");
    assert_eq!(state.config.created.as_deref(), Some("2026-01-01T00:00:00Z"));
}

#[test]
fn a_base_brings_its_configuration_and_not_its_making() {
    let config: ImageConfig = serde_json::from_value(json!({
        "architecture": "amd64", "os": "linux", "os.version": "1", "container": "c",
        "docker_version": "20", "comment": "by hand",
        "config": {"Env": ["PATH=/x"], "Image": "sha256:1", "Labels": null, "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [{"created_by": "base"}],
    }))
    .unwrap();
    let platform = Platform::parse("linux/amd64").unwrap();
    let state = State::image(&Digest::sha256([1; 32]), config, &platform);
    assert_eq!(
        serde_json::to_value(&state.config).unwrap(),
        json!({
            "architecture": "amd64", "os": "linux", "os.version": "1",
            "config": {"Env": ["PATH=/x"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [{"created_by": "base"}],
        })
    );
}

#[test]
fn an_empty_layer_is_none() {
    let mut state = after("USER a\n").unwrap();
    let empty: Digest = EMPTY_LAYER.parse().unwrap();
    let key = state.key.step(["x"]);
    state.advance(key, Some(&empty), "2026-01-01T00:00:00Z", "RUN true".into());
    assert!(state.config.rootfs.diff_ids.is_empty());
    assert!(state.config.history.last().unwrap().empty_layer);
}

#[test]
fn what_a_step_gave_counts_for_the_next() {
    let base = after("USER a\n").unwrap();
    let with = |byte| {
        let mut state = base.clone();
        let key = state.key.step(["run"]);
        state.advance(key, Some(&Digest::sha256([byte; 32])), "2026-01-01T00:00:00Z", "x".into());
        state.key
    };
    assert_ne!(with(1), with(2));
    assert_eq!(with(1), with(1));
}
