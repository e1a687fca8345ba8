//! `inspect`: everything about objects.

use std::marker::PhantomData;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::Object;
use super::names::{Names, try_each};
use crate::cli::shell::Shell;
use crate::client::Query;
use crate::print::{self, Template};

/// Show everything about objects of one kind.
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect<K: Object> {
    /// json, or a template
    #[arg(short, long)]
    pub(in crate::cli) format: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) objects: Names<K>,
    #[arg(skip)]
    kind: PhantomData<K>,
}

impl<K: Object> Inspect<K> {
    /// Shows them.
    ///
    /// # Errors
    /// As [`inspect`].
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let get =
            async |name: &str| shell.client.get(&K::KIND.view_path(name), &Query::new()).await;
        inspect(&self.objects.names, self.format.as_deref(), get).await
    }
}

/// Prints inspected objects: as one JSON list, or each through a template.
///
/// # Errors
/// When the template cannot be read, or an object was missing.
pub(in crate::cli) async fn inspect(
    names: &[String],
    format: Option<&str>,
    get: impl AsyncFn(&str) -> Result<Value>,
) -> Result<()> {
    let mut found = Vec::new();
    let done = try_each(names, get, |value| {
        found.push(value);
        Ok(())
    })
    .await;
    show_all(found, format, |line| Ok(print::line(line)?))?;
    done
}

/// Prints one document: as JSON in one line, or through a template.
///
/// # Errors
/// When the template cannot be read, or nobody reads any more.
pub(in crate::cli) fn show(value: &Value, format: &str) -> Result<()> {
    match format {
        "json" => Ok(print::line(value)?),
        format => Ok(print::line(Template::parse(format)?.render(value)?)?),
    }
}

fn show_all(
    found: Vec<Value>,
    format: Option<&str>,
    mut line: impl FnMut(String) -> Result<()>,
) -> Result<()> {
    match format {
        None => line(pretty(&Value::Array(found))?),
        Some("json") => line(Value::Array(found).to_string()),
        Some(format) => {
            let template = Template::parse(format)?;
            found.iter().try_for_each(|value| line(template.render(value)?))
        }
    }
}

/// A document as `inspect` prints it: four blanks deep.
///
/// # Errors
/// Never for a document.
pub(in crate::cli) fn pretty(value: &Value) -> Result<String> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut Serializer::with_formatter(&mut text, formatter))?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_found_is_one_list_or_a_line_each() {
        let show = |found: Value, format: Option<&str>| {
            let found = found.as_array().cloned().expect("a list");
            let mut lines = Vec::new();
            let shown = show_all(found, format, |line| {
                lines.push(line);
                Ok(())
            });
            (lines, shown.is_ok())
        };
        let found = || json!([{"Id": "a", "Pid": 1}, {"Id": "b"}]);
        let pretty = "[\n    {\n        \"Id\": \"b\"\n    }\n]".to_owned();
        assert_eq!(show(json!([{"Id": "b"}]), None), (vec![pretty], true));
        assert_eq!(show(json!([]), None), (vec!["[]".to_owned()], true));
        let json = r#"[{"Id":"a","Pid":1},{"Id":"b"}]"#.to_owned();
        assert_eq!(show(found(), Some("json")), (vec![json], true));
        assert_eq!(show(found(), Some("{{.Id}}")), (vec!["a".to_owned(), "b".to_owned()], true));
        // What can be shown is, before the error.
        assert_eq!(show(found(), Some("{{.Pid}}")), (vec!["1".to_owned()], false));
    }
}
