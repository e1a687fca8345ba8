//! Values of flags: sizes, environment, labels, limits, health checks.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};
use shoal_model::units;

use super::options::Health;

/// A size in bytes (`512m`); -1 where it means "unlimited".
pub(in crate::cli) fn bytes(text: Option<&str>) -> Result<i64> {
    match text {
        None => Ok(0),
        Some("-1") => Ok(-1),
        Some(text) => {
            let bytes = units::parse_bytes(text)?;
            i64::try_from(bytes).with_context(|| format!("{text} is too large"))
        }
    }
}

/// A number of processors in billionths.
pub(in crate::cli) fn nano_cpus(text: Option<&str>) -> Result<i64> {
    let Some(text) = text else { return Ok(0) };
    let bad = || anyhow!("invalid value {text:?} for processors: expected a number as 1.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
        return Err(bad());
    }
    let digits = format!("{}{fraction:0<9}", if whole.is_empty() { "0" } else { whole });
    digits.parse::<i64>().ok().filter(|nanos| *nanos >= 0).ok_or_else(bad)
}

/// The environment of files and flags; a bare name passes ours on.
pub(in crate::cli) fn environment(files: &[PathBuf], flags: &[String]) -> Result<Vec<String>> {
    let mut variables = Vec::new();
    for file in files {
        for line in lines(file)? {
            variables.extend(variable(line.trim_start()));
        }
    }
    variables.extend(flags.iter().filter_map(|flag| variable(flag)));
    Ok(variables)
}

fn variable(text: &str) -> Option<String> {
    if text.contains('=') {
        return Some(text.to_owned());
    }
    env::var(text).ok().map(|value| format!("{text}={value}"))
}

/// The labels of files and flags.
pub(in crate::cli) fn labels(files: &[PathBuf], flags: &[String]) -> Result<Map<String, Value>> {
    let mut labels = Map::new();
    for file in files {
        labels.extend(lines(file)?.iter().map(|line| pair(line)));
    }
    labels.extend(flags.iter().map(|flag| pair(flag)));
    Ok(labels)
}

/// `name=value` as a member; a bare name has an empty value.
pub(in crate::cli) fn pair(text: &str) -> (String, Value) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), json!(value))
}

/// Several of them.
pub(in crate::cli) fn pairs(texts: &[String]) -> Map<String, Value> {
    texts.iter().map(|text| pair(text)).collect()
}

fn lines(file: &PathBuf) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let wanted = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    Ok(text.lines().filter(wanted).map(str::to_owned).collect())
}

/// Resource limits `name=soft[:hard]`.
pub(in crate::cli) fn ulimits(texts: &[String]) -> Result<Vec<Value>> {
    let read = |text: &String| {
        let bad = || anyhow!("invalid ulimit {text:?}: expected name=soft[:hard]");
        let (name, limits) = text.split_once('=').ok_or_else(bad)?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let number = |text: &str| match text {
            "unlimited" => Ok(-1),
            text => text.parse::<i64>().map_err(|_| bad()),
        };
        Ok(json!({ "Name": name, "Soft": number(soft)?, "Hard": number(hard)? }))
    };
    texts.iter().map(read).collect()
}

/// Devices `path[:path[:rights]]`.
pub(super) fn devices(texts: &[String]) -> Result<Vec<Value>> {
    let read = |text: &String| {
        let parts: Vec<&str> = text.split(':').collect();
        let is_rights = |text: &str| text.chars().all(|letter| "rwm".contains(letter));
        let (host, inside, rights) = match parts.as_slice() {
            [host] => (*host, *host, "rwm"),
            [host, rights] if is_rights(rights) => (*host, *host, *rights),
            [host, inside] => (*host, *inside, "rwm"),
            [host, inside, rights] if is_rights(rights) => (*host, *inside, *rights),
            _ => bail!("invalid device {text:?}: expected path[:path[:rights]]"),
        };
        Ok(json!({ "PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": rights }))
    };
    texts.iter().map(read).collect()
}

/// The health check of the flags, if there is one.
pub(in crate::cli) fn health(flags: &Health) -> Result<Option<Value>> {
    let Health { command, interval, timeout, start_period, start_interval, retries, off } = flags;
    let times = [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("StartInterval", start_interval),
    ];
    let any =
        command.is_some() || retries.is_some() || times.iter().any(|(_, time)| time.is_some());
    if *off {
        if any {
            bail!("--no-healthcheck conflicts with --health-* options");
        }
        return Ok(Some(json!({ "Test": ["NONE"] })));
    }
    if !any {
        return Ok(None);
    }
    let mut check = json!({});
    if let Some(command) = command {
        check["Test"] = json!(["CMD-SHELL", command]);
    }
    for (key, time) in times {
        if let Some(time) = time {
            check[key] = json!(nanos(time)?);
        }
    }
    if let Some(retries) = retries {
        check["Retries"] = json!(retries);
    }
    Ok(Some(check))
}

/// A duration in nanoseconds.
pub(in crate::cli) fn nanos(text: &str) -> Result<i64> {
    let duration = units::parse_go_duration(text)?;
    i64::try_from(duration.as_nanos()).with_context(|| format!("{text} is too long"))
}

/// Security options; a seccomp profile is read from its file here, as the
/// daemon may be elsewhere.
pub(super) fn security(texts: &[String]) -> Result<Vec<String>> {
    let read = |text: &String| match text.strip_prefix("seccomp=") {
        Some("unconfined" | "builtin") | None => Ok(text.clone()),
        Some(file) => {
            let profile = fs::read_to_string(file)
                .with_context(|| format!("opening seccomp profile ({file}) failed"))?;
            let profile: Value = serde_json::from_str(&profile)
                .with_context(|| format!("compacting json for seccomp profile ({file}) failed"))?;
            Ok(format!("seccomp={profile}"))
        }
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(nano_cpus(Some("1.5")).expect("a number"), 1_500_000_000);
        assert_eq!(nano_cpus(Some(".001")).expect("a number"), 1_000_000);
        assert_eq!(bytes(Some("512m")).expect("a size"), 512 << 20);
        assert_eq!(bytes(Some("-1")).expect("unlimited"), -1);
        assert!(
            nano_cpus(Some("x")).is_err()
                && nano_cpus(Some("-1")).is_err()
                && nano_cpus(Some(".")).is_err()
        );
    }

    #[test]
    fn limits_devices_and_checks_are_read() {
        assert_eq!(ulimits(&["nofile=1:2".into()]).expect("a limit")[0]["Hard"], 2);
        assert!(ulimits(&["nofile".into()]).is_err());
        let device = &devices(&["/dev/a:/dev/b:r".into()]).expect("a device")[0];
        assert_eq!(device["PathInContainer"], "/dev/b");
        assert_eq!(
            devices(&["/dev/a:r".into()]).expect("a device")[0]["PathInContainer"],
            "/dev/a"
        );
        let flags =
            Health { command: Some("x".into()), interval: Some("1s".into()), ..Health::default() };
        let check = health(&flags).expect("a check").expect("one");
        assert_eq!(check["Interval"], 1_000_000_000);
        assert!(health(&Health { off: true, ..flags }).is_err());
        assert_eq!(health(&Health::default()).expect("none"), None);
    }
}
