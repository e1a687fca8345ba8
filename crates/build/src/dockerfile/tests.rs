use proptest::prelude::*;

use super::*;

fn fail(source: &str) -> String {
    parse(source.as_bytes()).unwrap_err().to_string()
}

fn commands(source: &str) -> Vec<Command> {
    parse(source.as_bytes()).unwrap().instructions.into_iter().map(|i| i.command).collect()
}

#[test]
fn errors_name_the_line_in_dockers_words() {
    for (source, expected) in [
        ("FROM a\n\nFOO bar\n", "line 3: unknown instruction: FOO"),
        ("FROM a\nRUM x\n", "line 2: unknown instruction: RUM (did you mean RUN?)"),
        ("", "line 1: file with no instructions"),
        ("# only\n# comments\n", "line 1: file with no instructions"),
        ("FROM\n", "line 1: FROM requires either one or three arguments"),
        ("FROM a b\n", "line 1: FROM requires either one or three arguments"),
        (
            "FROM a AS 1x\n",
            "line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
        ),
        ("FROM a\nENV\n", "line 2: ENV requires at least one argument"),
        ("FROM a\nENV x\n", "line 2: ENV must have two arguments"),
        (
            "FROM a\nENV a=b c\n",
            "line 2: Syntax error - can't find = in \"c\". Must be of the form: name=value",
        ),
        ("FROM a\nENV =b\n", "line 2: ENV names can not be blank"),
        (
            "FROM a\nCOPY x\n",
            "line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("FROM a\nCOPY --frm=x a b\n", "line 2: unknown flag: --frm"),
        ("FROM a\nCOPY x <<EOF\nEOF\n", "line 2: COPY cannot accept a heredoc as a destination"),
        (
            "FROM a\nCMD [1]\n",
            "line 2: when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("FROM a\nSHELL sh -c\n", "line 2: SHELL requires the arguments to be in JSON form"),
        ("FROM a\nHEALTHCHECK FOO\n", "line 2: Unknown type \"FOO\" in HEALTHCHECK (try CMD)"),
        ("FROM a\nHEALTHCHECK CMD\n", "line 2: Missing command after HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x\n", "line 2: --retries cannot be negative (-1)"),
        (
            "FROM a\nHEALTHCHECK --interval=1us CMD x\n",
            "line 2: Interval \"interval\" cannot be less than 1ms",
        ),
        ("FROM a\nHEALTHCHECK NONE x\n", "line 2: HEALTHCHECK NONE takes no arguments"),
        (
            "FROM a\nONBUILD ONBUILD RUN x\n",
            "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("FROM a\nONBUILD FROM x\n", "line 2: FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nVOLUME [\"\"]\n", "line 2: VOLUME specified can not be an empty string"),
        ("FROM a\nWORKDIR\n", "line 2: WORKDIR requires exactly one argument"),
        ("FROM a\nARG =x\n", "line 2: ARG names can not be blank"),
        ("FROM a\nRUN --mount=type=foo x\n", "line 2: unsupported mount type \"foo\""),
        ("FROM a\nRUN a \\\n b\n\nRUN <<EOF\n", "line 5: unterminated heredoc"),
        ("# escape=x\nFROM a\n", "line 1: invalid escape token 'x' does not match ` or \\"),
    ] {
        assert_eq!(fail(source), format!("dockerfile parse error on {expected}"), "{source:?}");
    }
}

#[test]
fn forms_of_commands() {
    let Command::Run(run) = &commands("RUN --network=none --mount=target=/x echo \"a\"  b")[0]
    else {
        panic!("not RUN");
    };
    assert_eq!(run.command, CommandLine::Shell("echo \"a\"  b".into()));
    assert_eq!((run.network.as_deref(), run.mounts.len()), (Some("none"), 1));
    assert_eq!(
        commands("CMD [ \"a\", \"b c\" ]\nCMD []\nCMD [a]\nCMD"),
        [
            Command::Cmd(CommandLine::Exec(vec!["a".into(), "b c".into()])),
            Command::Cmd(CommandLine::Exec(vec![])),
            Command::Cmd(CommandLine::Shell("[a]".into())),
            Command::Cmd(CommandLine::Shell(String::new())),
        ]
    );
}

#[test]
fn assignments() {
    let pair =
        |key: &str, value: &str, legacy| Pair { key: key.into(), value: value.into(), legacy };
    assert_eq!(
        commands("ENV a=b \"c d\"=e\nENV k some text  = x\nLABEL a.b=\"c\\\n d\""),
        [
            Command::Env(vec![pair("a", "b", false), pair("\"c d\"", "e", false)]),
            Command::Env(vec![pair("k", "some text  = x", true)]),
            Command::Label(vec![pair("a.b", "\"c d\"", false)]),
        ]
    );
}

#[test]
fn triggers_keep_their_documents() {
    let source = "FROM a\nONBUILD RUN <<EOF\necho hi\nEOF\nCMD x\n";
    let file = parse(source.as_bytes()).unwrap();
    let Command::Onbuild(onbuild) = &file.instructions[1].command else { panic!("not ONBUILD") };
    assert_eq!(onbuild.trigger, "RUN <<EOF\necho hi\nEOF");
    assert_eq!(parse_trigger(&onbuild.trigger).unwrap().command, *onbuild.command);
    assert_eq!(file.instructions[2].line, 5);
}

#[test]
fn an_escape_character_that_ends_an_instruction_stays_one() {
    for source in ["EXPOSE \\ !", "RUN x\\ \\\n", "# escape=`\nRUN <<E x` `\n\n1\nE", "CMD a\\\\"] {
        let file = parse(source.as_bytes()).unwrap();
        let again = parse(file.to_string().as_bytes()).unwrap();
        assert_eq!(again.instructions[0].command, file.instructions[0].command, "{file}");
    }
}

/// A small writer of Dockerfiles: valid in form, odd in content.
fn dockerfile() -> impl Strategy<Value = String> {
    let text = "[ -~\u{e4}\t]{0,30}";
    let word = "[!-~]{1,12}";
    let line = prop_oneof![
        (
            prop::sample::select(vec![
                "FROM",
                "run",
                "COPY",
                "ADD",
                "ENV",
                "ARG",
                "LABEL",
                "CMD",
                "ENTRYPOINT",
                "USER",
                "WORKDIR",
                "VOLUME",
                "EXPOSE",
                "ONBUILD RUN",
                "ONBUILD COPY",
                "HEALTHCHECK CMD",
                "SHELL",
                "STOPSIGNAL",
                "MAINTAINER",
                "RUN --mount=type=bind,",
                "COPY --from=",
            ]),
            text
        )
            .prop_map(|(name, rest)| format!("{name} {rest}")),
        (word, word).prop_map(|(a, b)| format!("ENV {a}={b}")),
        (word, text).prop_map(|(a, b)| format!("COPY <<E {a} /x\n{b}\nE")),
        text.prop_map(|a| format!("RUN <<-'E F' 3<<G\n{a}\nE F\n{a}\nG")),
        text.prop_map(|a| format!("RUN x \\\n # {a}\n\n y{a}")),
        Just("HEALTHCHECK --interval=1m30s --retries=3 CMD [\"a\"]".to_owned()),
    ];
    prop::collection::vec(line, 1..6).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_was_read_displays_as_what_reads_the_same(source in dockerfile()) {
        if let Ok(file) = parse(source.as_bytes()) {
            let shown = file.to_string();
            let again = parse(shown.as_bytes())
                .map_err(|error| TestCaseError::fail(format!("{error}\n{shown}")))?;
            let of = |file: Dockerfile| {
                file.instructions.into_iter().map(|i| i.command).collect::<Vec<_>>()
            };
            prop_assert_eq!(of(again), of(file), "{}", shown);
        }
    }

    #[test]
    fn an_error_names_a_line_of_the_file(source in dockerfile()) {
        if let Err(error) = parse(source.as_bytes()) {
            prop_assert!(error.line >= 1 && error.line <= source.lines().count().max(1));
        }
    }
}
