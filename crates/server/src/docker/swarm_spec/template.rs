//! Templates in a service's spec (`{{.Node.Hostname}}`): whether every node can fill one in.
//!
//! The nodes fill them in when a task starts. One that no node can would be refused there again
//! and again, so it is refused here. Whatever a node's own filling takes must pass.

use std::collections::BTreeMap;

use shoal_model::template::words;

/// What a template may name. A service's labels are checked by name.
const FIELDS: [&str; 12] = [
    "",
    "Service",
    "Service.ID",
    "Service.Name",
    "Service.Labels",
    "Node",
    "Node.ID",
    "Node.Hostname",
    "Node.Platform",
    "Node.Platform.OS",
    "Node.Platform.Architecture",
    "Task",
];
/// What a template may name of its task.
const TASK_FIELDS: [&str; 3] = ["Task.ID", "Task.Name", "Task.Slot"];
/// Functions of templates.
const FUNCTIONS: [&str; 8] = ["json", "index", "len", "join", "upper", "lower", "title", "println"];

/// Checks a text that may be a template; `labels` are the service's.
///
/// # Errors
/// Why it cannot be filled in, in the words of Go's templates.
pub(super) fn check(text: &str, labels: &BTreeMap<String, String>) -> Result<(), String> {
    let mut checked = Checked { labels, blocks: Vec::new() };
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (action, after) =
            after.split_once("}}").ok_or("template: expansion:1: unclosed action")?;
        checked.action(action.trim_matches('-').trim())?;
        rest = after;
    }
    match checked.blocks.is_empty() {
        true => Ok(()),
        false => Err("template: expansion:1: unexpected EOF".to_owned()),
    }
}

/// A template as far as it was read.
struct Checked<'a> {
    labels: &'a BTreeMap<String, String>,
    /// The words that opened the blocks it is in.
    blocks: Vec<&'static str>,
}

impl Checked<'_> {
    fn action(&mut self, action: &str) -> Result<(), String> {
        let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
        match word {
            "" => Err("template: expansion:1: missing value for command".to_owned()),
            "end" => match self.blocks.pop() {
                Some(_) => Ok(()),
                None => Err("template: expansion:1: unexpected {{end}}".to_owned()),
            },
            "else" if !self.blocks.is_empty() => Ok(()),
            "else" => Err("template: expansion:1: unexpected {{else}}".to_owned()),
            "if" => {
                self.call(rest)?;
                self.blocks.push("if");
                Ok(())
            }
            "range" => {
                self.call(rest)?;
                self.blocks.push("range");
                Ok(())
            }
            _ => self.call(action),
        }
    }

    fn call(&self, text: &str) -> Result<(), String> {
        let words = words(text).ok_or_else(|| format!("template: expansion:1: unclosed {text}"))?;
        let Some((first, arguments)) = words.split_first() else {
            return Err("template: expansion:1: missing value for command".to_owned());
        };
        if FUNCTIONS.contains(&first.as_str()) {
            if arguments.is_empty() {
                return Err(format!("template: expansion:1: wrong number of args for {first}"));
            }
            return arguments.iter().try_for_each(|word| self.argument(word));
        }
        if !arguments.is_empty() {
            return Err(format!("template: expansion:1: {{{{{text}}}}} is not supported"));
        }
        self.argument(first)
    }

    fn argument(&self, word: &str) -> Result<(), String> {
        if let Some(inner) = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) {
            return self.call(inner);
        }
        if let Some(path) = word.strip_prefix('.') {
            return self.field(path);
        }
        let quoted = word.len() >= 2 && word.starts_with('`') && word.ends_with('`');
        if quoted || serde_json::from_str::<serde_json::Value>(word).is_ok() {
            return Ok(());
        }
        Err(format!("template: expansion:1: function {word:?} not defined"))
    }

    fn field(&self, path: &str) -> Result<(), String> {
        // In a range, the dot is one of its items.
        let label = || path.strip_prefix("Service.Labels.");
        let known = self.blocks.contains(&"range")
            || FIELDS.contains(&path)
            || TASK_FIELDS.contains(&path)
            // A dot ends a name on the node.
            || label().is_some_and(|label| !label.contains('.') && self.labels.contains_key(label));
        if known {
            return Ok(());
        }
        let (inside, name) = path.rsplit_once('.').unwrap_or(("Context", path));
        Err(format!(
            "template: expansion:1: executing \"expansion\" at <.{path}>: can't evaluate field \
             {name} in type template.{inside}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        check(text, &BTreeMap::from([("tier".to_owned(), "front".to_owned())]))
    }

    #[test]
    fn what_nodes_fill_in_passes() {
        for text in [
            "plain",
            "a}}b",
            "{{.Service.Name}}-{{ .Task.Slot }}",
            "{{.Node.Hostname}}.{{.Node.Platform.OS}}",
            "{{.Service.Labels.tier}} {{index .Service.Labels \"a b\"}}",
            "{{upper (index .Service.Labels `tier`)}}",
            "{{if .Service.Labels}}{{.Task.ID}}{{else}}none{{end}}",
            "{{range .Service.Labels}}{{.}} {{.Anything}}{{end}}",
            "{{- .Task.Name -}}",
        ] {
            assert_eq!(checked(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_no_node_fills_in_is_refused() {
        for (text, why) in [
            ("{{.Foo}}", "can't evaluate field Foo in type template.Context"),
            ("{{.Service.Foo}}", "can't evaluate field Foo in type template.Service"),
            ("{{.Service.Labels.other}}", "can't evaluate field other"),
            ("{{", "unclosed action"),
            ("a{{.Task.ID}", "unclosed action"),
            ("{{}}", "missing value for command"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{if .Task.ID}}", "unexpected EOF"),
            ("{{foo}}", "function \"foo\" not defined"),
            ("{{printf .Task.ID}}", "is not supported"),
            ("{{index \"a}}", "unclosed"),
        ] {
            let error = checked(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
