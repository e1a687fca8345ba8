//! Lists as docker prints them: aligned columns, templates, JSON lines.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Map, Value};

use super::Template;

/// The narrowest a column gets and the space after it, as docker has them.
const MIN_WIDTH: usize = 10;
const GAP: usize = 3;

/// One entry of a list: the fields a template may name.
pub(crate) type Row = Map<String, Value>;

/// A column of the table: a field and the title above it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    field: &'static str,
    title: &'static str,
}

/// A column.
pub(crate) const fn column(field: &'static str, title: &'static str) -> Column {
    Column { field, title }
}

/// A list to print.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The columns of the table, when no format was asked for.
    pub(crate) columns: Vec<Column>,
    /// The entries.
    pub(crate) rows: Vec<Row>,
    /// The field that stands for an entry with `--quiet`.
    pub(crate) key: &'static str,
}

impl Listing {
    /// The text of the list.
    ///
    /// # Errors
    /// When the format cannot be read or names a field that is not there.
    pub(crate) fn render(&self, format: Option<&str>, quiet: bool) -> Result<String> {
        let format = format.map(str::trim).unwrap_or_default();
        if quiet && format.is_empty() {
            return Ok(lines(self.rows.iter().map(|row| text(row.get(self.key)))));
        }
        match format {
            "" | "table" => Ok(self.table()),
            "json" => Ok(lines(self.rows.iter().map(json_line))),
            other => match other.strip_prefix("table") {
                Some(columns) => self.template_table(columns.trim_start()),
                None => self.template(other),
            },
        }
    }

    /// Prints the list.
    ///
    /// # Errors
    /// As [`Listing::render`], and when nobody reads any more.
    pub(crate) fn print(&self, format: Option<&str>, quiet: bool) -> Result<()> {
        Ok(super::bytes(self.render(format, quiet)?.as_bytes())?)
    }

    fn table(&self) -> String {
        let titles = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let cells =
            |row: &Row| self.columns.iter().map(|column| text(row.get(column.field))).collect();
        let mut table: Vec<Vec<String>> = vec![titles];
        table.extend(self.rows.iter().map(cells));
        align(&table)
    }

    fn template(&self, format: &str) -> Result<String> {
        let template = Template::parse(format)?;
        let mut out = String::new();
        for row in &self.rows {
            out.push_str(&template.render(&Value::Object(row.clone()))?);
            out.push('\n');
        }
        Ok(out)
    }

    fn template_table(&self, format: &str) -> Result<String> {
        let template = Template::parse(format)?;
        let mut table = vec![cells(&template.render(&Value::Object(self.titles()))?)];
        for row in &self.rows {
            table.push(cells(&template.render(&Value::Object(row.clone()))?));
        }
        Ok(align(&table))
    }

    /// A row of titles, for a template's header: the table's own, else the
    /// field's name in capitals.
    fn titles(&self) -> Row {
        let mut fields: BTreeSet<&str> = self.columns.iter().map(|column| column.field).collect();
        fields.extend(self.rows.iter().flat_map(|row| row.keys().map(String::as_str)));
        let title = |field: &str| {
            let known = self.columns.iter().find(|column| column.field == field);
            known.map_or_else(|| field.to_uppercase(), |column| column.title.to_owned())
        };
        fields.into_iter().map(|field| (field.to_owned(), Value::String(title(field)))).collect()
    }
}

fn cells(line: &str) -> Vec<String> {
    line.split('\t').map(str::to_owned).collect()
}

fn json_line(row: &Row) -> String {
    Value::Object(row.clone()).to_string()
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.fold(String::new(), |text, line| text + &line + "\n")
}

/// A value as a cell.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Aligns the columns the way Go's tabwriter does for docker; the last one is
/// left as it is.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |index: usize| {
        let longest =
            rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
        MIN_WIDTH.max(longest.unwrap_or(0) + GAP)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if index + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[index] - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing() -> Listing {
        let row = |value: Value| value.as_object().cloned().expect("an object");
        Listing {
            columns: vec![column("ID", "CONTAINER ID"), column("Names", "NAMES")],
            rows: vec![
                row(json!({"ID": "abc", "Names": "web", "State": "running"})),
                row(json!({"ID": "0123456789abcdef", "Names": "", "State": "exited"})),
            ],
            key: "ID",
        }
    }

    #[test]
    fn columns_are_aligned() {
        let text = listing().render(None, false).expect("a table");
        assert_eq!(text, "CONTAINER ID       NAMES\nabc                web\n0123456789abcdef   \n");
    }

    #[test]
    fn formats_choose_what_is_shown() {
        let render = |format, quiet| listing().render(format, quiet);
        assert_eq!(render(None, true).expect("ids"), "abc\n0123456789abcdef\n");
        assert_eq!(
            render(Some("{{.Names}}/{{.State}}"), false).expect("lines"),
            "web/running\n/exited\n"
        );
        assert_eq!(
            render(Some("table {{.State}}\\t{{.ID}}"), false).expect("a table"),
            "STATE     CONTAINER ID\nrunning   abc\nexited    0123456789abcdef\n"
        );
        assert!(render(Some("json"), false).expect("json").starts_with("{\"ID\":\"abc\""));
        assert!(render(Some("{{.Nope}}"), false).is_err());
    }
}
