//! Request documents, read as leniently as Docker's own decoder and more
//! strictly where it would ignore what it does not know.
//!
//! Go matches keys in any case and takes `null` for "not set"; clients send
//! integers as floats or strings and a single string for a list. A key nobody
//! here declared is harmless at its zero value and refused by name otherwise:
//! an option is never silently ignored.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use shoal_model::{Classify, Kind};

/// A type that can be read from a client's JSON.
pub(crate) trait Wire: Sized + Default {
    /// Reads a value that is not null; `at` says where it stands.
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError>;

    /// Reads a value, null being the default.
    fn read_or_default(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        if value.is_null() { Ok(Self::default()) } else { Self::read(value, at) }
    }
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// A value of the wrong type.
    #[error("invalid JSON: {at}: expected {expected}, not {found}")]
    Type { at: String, expected: &'static str, found: String },
    /// An option Shoal does not have, set to something.
    #[error("{at}{flag} is not supported")]
    Unsupported { at: String, flag: String },
}

impl Classify for WireError {
    fn kind(&self) -> Kind {
        match self {
            Self::Type { .. } => Kind::Invalid,
            Self::Unsupported { .. } => Kind::NotImplemented,
        }
    }
}

/// Where in the document a value stands, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    key: &'a str,
}

impl<'a> At<'a> {
    /// The document itself.
    pub(crate) const ROOT: At<'static> = At { parent: None, key: "" };

    /// A place below this one.
    pub(crate) fn key(&'a self, key: &'a str) -> At<'a> {
        At { parent: Some(self), key }
    }

    /// The error for a value of the wrong type.
    pub(crate) fn expected(&self, expected: &'static str, found: &Value) -> WireError {
        WireError::Type { at: self.to_string(), expected, found: brief(found) }
    }

    /// The error for an option Shoal does not have.
    pub(crate) fn unsupported(&self) -> WireError {
        let flag = flag_of(self.key).map(|flag| format!(" ({flag})")).unwrap_or_default();
        WireError::Unsupported { at: self.to_string(), flag }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            Some(parent) if parent.parent.is_some() => write!(f, "{parent}.{}", self.key),
            Some(_) => f.write_str(self.key),
            None => f.write_str("the document"),
        }
    }
}

/// Declares a request document: each field with its type and Docker's key.
/// Every other key is refused unless it has its zero value.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty = $key:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default, Clone)]
        pub(crate) struct $name { $($(#[$fmeta])* pub(crate) $field: $ty),* }

        impl $crate::docker::wire::Wire for $name {
            fn read(
                value: serde_json::Value,
                at: &$crate::docker::wire::At<'_>,
            ) -> Result<Self, $crate::docker::wire::WireError> {
                let mut document = Self::default();
                for (key, value) in $crate::docker::wire::object(value, at)? {
                    $(if key.eq_ignore_ascii_case($key) {
                        document.$field =
                            $crate::docker::wire::Wire::read_or_default(value, &at.key($key))?;
                        continue;
                    })*
                    if !$crate::docker::wire::is_zero(&value) {
                        return Err(at.key(&key).unsupported());
                    }
                }
                Ok(document)
            }
        }
    };
}
pub(crate) use wire;

/// The members of an object.
pub(crate) fn object(value: Value, at: &At<'_>) -> Result<Map<String, Value>, WireError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(at.expected("an object", &other)),
    }
}

/// Whether a value says no more than its absence.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_zero),
        Value::Object(map) => map.values().all(is_zero),
    }
}

fn brief(value: &Value) -> String {
    const SHOWN: usize = 60; // enough to recognise the value, short enough for one line
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}

/// The docker CLI's flag for a key, so that a refusal names what was typed.
fn flag_of(key: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, flag)| *flag)
}

const FLAGS: &[(&str, &str)] = &[
    ("Annotations", "--annotation"),
    ("BlkioDeviceReadBps", "--device-read-bps"),
    ("BlkioDeviceReadIOps", "--device-read-iops"),
    ("BlkioDeviceWriteBps", "--device-write-bps"),
    ("BlkioDeviceWriteIOps", "--device-write-iops"),
    ("BlkioWeight", "--blkio-weight"),
    ("BlkioWeightDevice", "--blkio-weight-device"),
    ("Cgroup", "--cgroup"),
    ("CgroupParent", "--cgroup-parent"),
    ("CgroupnsMode", "--cgroupns"),
    ("Configs", "--config"),
    ("CpuRealtimePeriod", "--cpu-rt-period"),
    ("CpuRealtimeRuntime", "--cpu-rt-runtime"),
    ("DeviceCgroupRules", "--device-cgroup-rule"),
    ("DeviceRequests", "--gpus"),
    ("Devices", "--device"),
    ("Dns", "--dns"),
    ("DnsOptions", "--dns-option"),
    ("DnsSearch", "--dns-search"),
    ("Domainname", "--domainname"),
    ("ExtraHosts", "--add-host"),
    ("GroupAdd", "--group-add"),
    ("Init", "--init"),
    ("IpcMode", "--ipc"),
    ("Links", "--link"),
    ("LogConfig", "--log-driver"),
    ("MacAddress", "--mac-address"),
    ("OomKillDisable", "--oom-kill-disable"),
    ("OomScoreAdj", "--oom-score-adj"),
    ("PidMode", "--pid"),
    ("Privileged", "--privileged"),
    ("ReadonlyRootfs", "--read-only"),
    ("Runtime", "--runtime"),
    ("Secrets", "--secret"),
    ("SecurityOpt", "--security-opt"),
    ("ShmSize", "--shm-size"),
    ("StorageOpt", "--storage-opt"),
    ("Sysctls", "--sysctl"),
    ("Tmpfs", "--tmpfs"),
    ("Ulimits", "--ulimit"),
    ("UsernsMode", "--userns"),
    ("UTSMode", "--uts"),
    ("VolumeDriver", "--volume-driver"),
    ("VolumesFrom", "--volumes-from"),
];

impl Wire for Value {
    fn read(value: Value, _: &At<'_>) -> Result<Self, WireError> {
        Ok(value)
    }
}

impl Wire for String {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        match value {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(at.expected("a string", &other)),
        }
    }
}

impl Wire for bool {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        match &value {
            Value::Bool(on) => Ok(*on),
            Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(true),
            Value::String(text)
                if text.is_empty() || text.eq_ignore_ascii_case("false") || text == "0" =>
            {
                Ok(false)
            }
            other => Err(at.expected("true or false", other)),
        }
    }
}

impl Wire for i64 {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        whole_number(&value).ok_or_else(|| at.expected("a whole number", &value))
    }
}

impl Wire for u64 {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        if let Some(number) = value.as_u64() {
            return Ok(number);
        }
        let number = whole_number(&value).and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| at.expected("a whole number of at least 0", &value))
    }
}

impl Wire for f64 {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        value.as_f64().ok_or_else(|| at.expected("a number", &value))
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| exact(number.as_f64()?)),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn exact(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: above, a float no longer means one integer
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

impl<T: Wire> Wire for Option<T> {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        T::read(value, at).map(Some)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        let Value::Array(items) = value else { return Err(at.expected("a list", &value)) };
        items.into_iter().map(|item| T::read_or_default(item, at)).collect()
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        let members = object(value, at)?;
        let read = |(key, value): (String, Value)| {
            let item = T::read_or_default(value, &at.key(&key))?;
            Ok((key, item))
        };
        members.into_iter().map(read).collect()
    }
}

/// A command line: a list, or one string that stands for a list of one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Wire for Words {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        match value {
            Value::String(text) => Ok(Self(vec![text])),
            other => Vec::read(other, at).map(Words),
        }
    }
}

/// A set of names, `{"80/tcp": {}}`: only the keys count.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) Vec<String>);

impl Wire for Keys {
    fn read(value: Value, at: &At<'_>) -> Result<Self, WireError> {
        match value {
            Value::Array(_) => Vec::read(value, at).map(Keys),
            other => Ok(Self(object(other, at)?.into_iter().map(|(key, _)| key).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    wire!(
        /// An inner document.
        Inner { memory: i64 = "Memory" }
    );
    wire!(
        /// A document.
        Outer {
            cmd: Words = "Cmd",
            host: Inner = "HostConfig",
            ports: Keys = "ExposedPorts",
            stop: Option<u64> = "StopTimeout",
        }
    );

    fn read(value: Value) -> Result<Outer, WireError> {
        Outer::read(value, &At::ROOT)
    }

    #[test]
    fn what_docker_accepts_is_accepted() {
        let document = read(json!({
            "cmd": "sleep", "hostconfig": {"MEMORY": 5.0e6}, "ExposedPorts": {"80/tcp": null},
            "StopTimeout": null, "Unknown": {"A": [], "B": "", "C": 0}, "Image": null,
        }))
        .expect("a document");
        assert_eq!(document.cmd.0, ["sleep"]);
        assert_eq!(document.host.memory, 5_000_000);
        assert_eq!(document.ports.0, ["80/tcp"]);
        assert_eq!(document.stop, None);
    }

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let error = read(json!({"HostConfig": {"Privileged": true}})).expect_err("refused");
        assert_eq!(error.to_string(), "HostConfig.Privileged (--privileged) is not supported");
        assert_eq!(error.kind(), Kind::NotImplemented);
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let error = read(json!({"HostConfig": {"Memory": 1.5}})).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "invalid JSON: HostConfig.Memory: expected a whole number, not 1.5"
        );
        assert!(read(json!([])).is_err() && read(json!({"Cmd": {}})).is_err());
    }
}
