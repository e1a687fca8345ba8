use proptest::prelude::*;

use super::*;

fn variables(name: &str) -> Option<String> {
    match name {
        "x" => Some("value".to_owned()),
        "path" => Some("/a/b/c.tar.gz".to_owned()),
        "blank" => Some("p q".to_owned()),
        "empty" => Some(String::new()),
        _ => None,
    }
}

fn ok(text: &str) -> String {
    word(text, '\\', &variables).unwrap()
}

fn err(text: &str) -> String {
    word(text, '\\', &variables).unwrap_err()
}

#[test]
fn plain_variables_and_quotes() {
    for (text, expected) in [
        ("$x", "value"),
        ("${x}y", "valuey"),
        ("$xy", ""),
        ("a$x-b", "avalue-b"),
        ("'$x'", "$x"),
        ("\"$x'\"", "value'"),
        (r"\$x", "$x"),
        (r#""\$x \a \"""#, r#"$x \a ""#),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$1x", "x"),
        ("$$", ""),
        (r"a\", "a"),
        ("he\"l l\"o", "hel lo"),
    ] {
        assert_eq!(ok(text), expected, "{text}");
    }
    assert_eq!(word(r"`$x \n", '`', &variables).unwrap(), r"$x \n");
}

#[test]
fn modifiers() {
    for (text, expected) in [
        ("${x:-d}", "value"),
        ("${u:-d$x}", "dvalue"),
        ("${u-}", ""),
        ("${empty-d}", ""),
        ("${empty:-d}", "d"),
        ("${x+set}", "set"),
        ("${empty+set}", "set"),
        ("${empty:+set}", ""),
        ("${u:+set}", ""),
        ("${x:?no}", "value"),
        ("${u:-${v:-${x}}}", "value"),
        ("${u:-'a}b'}", "a}b"),
        ("${path#*/}", "a/b/c.tar.gz"),
        ("${path##*/}", "c.tar.gz"),
        ("${path%.*}", "/a/b/c.tar"),
        ("${path%%.*}", "/a/b/c"),
        ("${path#/?/}", "b/c.tar.gz"),
        ("${path#x}", "/a/b/c.tar.gz"),
        ("${path/a/X}", "/X/b/c.tar.gz"),
        ("${path//\\//-}", "-a-b-c.tar.gz"),
        ("${path/b*/X}", "/a/X"),
        ("${path//?/x}", "xxxxxxxxxxxxx"),
        ("${u/a/b}", ""),
    ] {
        assert_eq!(ok(text), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("${x", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${x:-d", "syntax error: missing '}'"),
        ("${x/a}", "syntax error: missing '/' in ${}"),
        ("${x=a}", "unsupported modifier (=) in substitution"),
        ("${x:}", "unsupported modifier (:}) in substitution"),
        ("${u?}", "u: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${u:?gone}", "u: gone"),
        ("'x", "unexpected end of statement while looking for matching single-quote"),
        ("\"x", "unexpected end of statement while looking for matching double-quote"),
    ] {
        assert_eq!(err(text), format!("failed to process {text:?}: {expected}"));
    }
}

#[test]
fn splitting_happens_after_expansion() {
    let split = |text: &str| words(text, '\\', &variables).unwrap();
    assert_eq!(split("a $blank \"$blank\" b\\ c"), ["a", "p", "q", "p q", "b c"]);
    assert_eq!(split("$u"), Vec::<String>::new());
}

#[test]
fn documents_keep_their_quotes_and_most_backslashes() {
    let text = "echo \"$x\" '$x' \\$x a\\nb \\\\ ${u:-z}\n";
    assert_eq!(document(text, '\\', &variables).unwrap(), "echo \"value\" 'value' $x a\\nb \\ z\n");
}

#[test]
fn values_do_not_grow_without_bound() {
    let big = "y".repeat(MAX_EXPANSION_BYTES / 2);
    let get = move |_: &str| Some(big.clone());
    assert!(word("$a", '\\', &get).is_ok());
    assert!(word("$a$a$a", '\\', &get).unwrap_err().contains("longer than"));
    assert!(word("\"$a$a$a\"", '\\', &get).unwrap_err().contains("longer than"));
    let deep = "${a:-".repeat(10_000);
    assert!(word(&deep, '\\', &variables).unwrap_err().contains("nest deeper"));
}

proptest! {
    #[test]
    fn any_text_expands_or_is_refused(text in ".{0,60}") {
        let _ = word(&text, '\\', &variables);
        let _ = words(&text, '`', &variables);
        let _ = document(&text, '\\', &variables);
    }

    #[test]
    fn shell_like_text_expands_or_is_refused(text in "[$x{}:#%/?*'\"a \\\\-]{0,40}") {
        let _ = word(&text, '\\', &variables);
    }

    #[test]
    fn text_without_special_characters_is_itself(text in "[a-zA-Z0-9 ./=:,@-]{0,40}") {
        prop_assert_eq!(word(&text, '\\', &variables).unwrap(), text);
    }

    #[test]
    fn single_quotes_protect_everything_else(text in "[^']{0,40}") {
        prop_assert_eq!(word(&format!("'{text}'"), '\\', &variables).unwrap(), text);
    }
}
