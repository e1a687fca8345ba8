//! `ls`: the flags of every list, and its rows.

use std::marker::PhantomData;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::Object;
use crate::client::{Filters, Query};
use crate::print::words::items;
use crate::print::{Column, Listing, Row};

/// The flags of every list.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListFlags<K: Object> {
    #[arg(short, long, value_name = "NAME=VALUE", help = K::KIND.filters)]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    #[arg(short, long, help = K::KIND.quiet)]
    pub(in crate::cli) quiet: bool,
    #[arg(skip)]
    kind: PhantomData<K>,
}

impl<K: Object> ListFlags<K> {
    /// The filters that were given.
    ///
    /// # Errors
    /// When one has no `=`.
    pub(in crate::cli) fn filters(&self) -> Result<Filters> {
        Filters::parse(&self.filter)
    }

    /// A query with the filters that were given.
    ///
    /// # Errors
    /// When one has no `=`.
    pub(in crate::cli) fn query(&self) -> Result<Query> {
        Ok(Query::new().with_filters(&self.filters()?))
    }

    /// Prints the list; `key` is the field `--quiet` prints.
    ///
    /// # Errors
    /// When the format cannot be read, or nobody reads any more.
    pub(in crate::cli) fn print(
        &self,
        columns: Vec<Column>,
        rows: Vec<Row>,
        key: &'static str,
    ) -> Result<()> {
        Listing { columns, rows, key }.print(self.format.as_deref(), self.quiet)
    }
}

/// A row for each entry of the daemon's list.
pub(in crate::cli) fn rows(list: &Value, make: impl Fn(&Value) -> Value) -> Vec<Row> {
    items(list).filter(|entry| entry.is_object()).map(|entry| row(make(entry))).collect()
}

/// The fields of a row, written as a document.
pub(in crate::cli) fn row(fields: Value) -> Row {
    match fields {
        Value::Object(fields) => fields,
        _ => Row::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use serde_json::json;

    use super::*;
    use crate::cli::verbs::Volume;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ListFlags<Volume>,
    }

    #[test]
    fn a_kind_says_what_its_lists_are_filtered_by() {
        let help = Line::command().render_help().to_string();
        assert!(help.contains("dangling=…") && help.contains("Names only"), "{help}");
        let line = Line::try_parse_from(["ls", "-q", "-f", "label=a"]).expect("flags");
        assert!(line.flags.quiet);
        let query = line.flags.query().expect("a query").to_string();
        assert_eq!(query, "?filters=%7B%22label%22:%5B%22a%22%5D%7D");
        let line = Line::try_parse_from(["ls", "-f", "label"]).expect("flags");
        assert!(line.flags.query().is_err());
    }

    #[test]
    fn entries_become_rows() {
        let list = json!([{"Name": "a"}, null, {"Name": "b"}]);
        let made = rows(&list, |entry| json!({ "N": entry["Name"] }));
        assert_eq!(made, [row(json!({"N": "a"})), row(json!({"N": "b"}))]);
        assert_eq!(rows(&Value::Null, Value::clone), Vec::<Row>::new());
    }
}
