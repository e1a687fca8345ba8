//! What every verb needs: the daemon, and a way to do a thing to many objects.

use anyhow::Result;
use serde_json::Value;

use super::exit::{self, Exit};
use crate::client::{Client, DockerConfig};
use crate::print::{self, Template};

/// What every verb needs.
#[derive(Debug)]
pub(super) struct Shell {
    /// The daemon.
    pub(super) client: Client,
}

impl Shell {
    /// The value of `X-Registry-Auth` for an image's registry.
    ///
    /// # Errors
    /// When the name or docker's configuration cannot be read.
    pub(super) fn registry_auth(&self, image: &str) -> Result<String> {
        let reference = shoal_model::Reference::parse(image)?;
        Ok(DockerConfig::load()?.credentials(reference.domain())?.header())
    }
}

/// Does something to each object, prints what it returns, goes on past errors,
/// and fails at the end if there was one.
///
/// # Errors
/// After everything was tried.
pub(super) async fn each<F>(names: &[String], act: F) -> Result<()>
where
    F: AsyncFn(&str) -> Result<String>,
{
    let mut failed = false;
    for name in names {
        match act(name).await {
            Ok(text) if text.is_empty() => {}
            Ok(text) => print::line(text)?,
            Err(error) => {
                exit::say(&error);
                failed = true;
            }
        }
    }
    if failed { Err(Exit(1).into()) } else { Ok(()) }
}

/// Prints inspected objects: as one JSON list, or each through a template.
///
/// # Errors
/// When the template cannot be read, or an object was missing.
pub(super) async fn inspect<F>(names: &[String], format: Option<&str>, get: F) -> Result<()>
where
    F: AsyncFn(&str) -> Result<Value>,
{
    let mut found = Vec::new();
    let mut failed = false;
    for name in names {
        match get(name).await {
            Ok(value) => found.push(value),
            Err(error) => {
                exit::say(&error);
                failed = true;
            }
        }
    }
    show(&found, format)?;
    if failed { Err(Exit(1).into()) } else { Ok(()) }
}

fn show(found: &[Value], format: Option<&str>) -> Result<()> {
    match format {
        None => Ok(print::line(pretty(&Value::Array(found.to_vec()))?)?),
        Some("json") => Ok(print::line(Value::Array(found.to_vec()))?),
        Some(format) => {
            let template = Template::parse(format)?;
            for value in found {
                print::line(template.render(value)?)?;
            }
            Ok(())
        }
    }
}

/// A document as `inspect` prints it: four blanks deep.
///
/// # Errors
/// Never for a document.
pub(super) fn pretty(value: &Value) -> Result<String> {
    use serde::Serialize;
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, formatter);
    value.serialize(&mut writer)?;
    Ok(String::from_utf8(text)?)
}
