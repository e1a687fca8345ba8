//! What becomes of a container's output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind, units};

/// A log driver or an option of one that cannot be understood or is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogConfigError {
    /// A driver Docker may know and this engine does not.
    #[error("the log driver (--log-driver) {0:?} is not supported")]
    Driver(String),
    /// An option this engine does not know.
    #[error("the log option (--log-opt) {key}={value} is not supported")]
    Option {
        /// Its name.
        key: String,
        /// What the caller gave.
        value: String,
    },
    /// A value that makes no sense.
    #[error("invalid log option {key}={value}")]
    Value {
        /// The option's name.
        key: String,
        /// What the caller gave.
        value: String,
    },
    /// `none` has none.
    #[error("the log driver \"none\" has no options")]
    NoOptions,
}

impl Classify for LogConfigError {
    fn kind(&self) -> Kind {
        match self {
            Self::Driver(_) | Self::Option { .. } => Kind::NotImplemented,
            Self::Value { .. } | Self::NoOptions => Kind::Invalid,
        }
    }
}

/// What becomes of a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// Who keeps it.
    pub driver: LogDriver,
    /// The options as they were given, to be shown again.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// Who keeps a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDriver {
    /// A file of JSON lines, as Docker writes it.
    JsonFile {
        /// Size in bytes at which a new file is begun; `None` is one endless file.
        max_size_bytes: Option<u64>,
        /// How many files are kept, at least 1; without a size the first is never full.
        max_files: u32,
    },
    /// Nobody.
    None,
}

impl Default for LogDriver {
    fn default() -> Self {
        LogDriver::JsonFile { max_size_bytes: None, max_files: 1 }
    }
}

impl LogConfig {
    /// Reads a driver (`json-file`, also if empty, or `none`) and its options in Docker's words.
    ///
    /// # Errors
    /// Another driver, an unknown option, a value that makes no sense.
    pub fn read(driver: &str, options: BTreeMap<String, String>) -> Result<Self, LogConfigError> {
        let driver = match driver {
            "" | "json-file" => read_json_file(&options)?,
            "none" if options.is_empty() => LogDriver::None,
            "none" => return Err(LogConfigError::NoOptions),
            other => return Err(LogConfigError::Driver(other.to_owned())),
        };
        Ok(Self { driver, options })
    }

    /// Nobody keeps it.
    pub fn none() -> Self {
        Self { driver: LogDriver::None, options: BTreeMap::new() }
    }
}

impl LogDriver {
    /// Docker's name of it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::JsonFile { .. } => "json-file",
            Self::None => "none",
        }
    }
}

fn read_json_file(options: &BTreeMap<String, String>) -> Result<LogDriver, LogConfigError> {
    let (mut max_size_bytes, mut max_files) = (None, 1);
    for (key, value) in options {
        let bad = || LogConfigError::Value { key: key.clone(), value: value.clone() };
        match key.as_str() {
            "max-size" if value == "-1" => max_size_bytes = None,
            "max-size" => max_size_bytes = Some(units::parse_bytes(value).map_err(|_| bad())?),
            "max-file" => {
                max_files = value.parse().ok().filter(|files| *files >= 1).ok_or_else(bad)?;
            }
            "mode" if value == "blocking" => {}
            _ => {
                return Err(LogConfigError::Option { key: key.clone(), value: value.clone() });
            }
        }
    }
    Ok(LogDriver::JsonFile { max_size_bytes, max_files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_options_are_read_or_refused_by_name() {
        let read = |kind: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            LogConfig::read(kind, options)
        };
        let log = read("json-file", &[("max-size", "10m"), ("max-file", "3")]).unwrap();
        assert_eq!(
            log.driver,
            LogDriver::JsonFile { max_size_bytes: Some(10 << 20), max_files: 3 }
        );
        assert_eq!(log.options["max-size"], "10m", "as it was given");
        assert_eq!(read("", &[]).unwrap(), LogConfig::default());
        assert_eq!(read("none", &[]).unwrap(), LogConfig::none());
        for (kind, key, value) in [
            ("syslog", "a", "x"),
            ("none", "a", "x"),
            ("json-file", "tag", "x"),
            ("json-file", "max-file", "0"),
            ("json-file", "max-size", "x"),
        ] {
            assert!(read(kind, &[(key, value)]).is_err(), "{kind} {key}={value}");
        }
    }
}
