//! `-p` and `--expose`: ports and ranges of them.

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value, json};

/// Ports of a new container.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ports {
    /// `ExposedPorts`.
    pub(super) exposed: Map<String, Value>,
    /// `PortBindings`.
    pub(super) bindings: Map<String, Value>,
}

impl Ports {
    /// Reads the flags.
    pub(super) fn read(publish: &[String], expose: &[String]) -> Result<Self> {
        let mut ports = Self::default();
        for text in expose {
            let (range, protocol) = protocol(text)?;
            for port in range_of(range, text)? {
                ports.exposed.insert(format!("{port}/{protocol}"), json!({}));
            }
        }
        for text in publish {
            ports.publish(text)?;
        }
        Ok(ports)
    }

    fn publish(&mut self, text: &str) -> Result<()> {
        let Parts { ip, host, container, protocol } = read_port_parts(text)?;
        let inside: Vec<u16> = range_of(container, text)?.collect();
        let outside: Vec<u16> = range_of_optional(host, text)?;
        // Zero, any port, counts as one.
        if !host.is_empty() && inside.len() > 1 && outside.len().max(1) != inside.len() {
            bail!("invalid ranges specified for container and host Ports: {container} and {host}");
        }
        for (index, port) in inside.iter().enumerate() {
            let host = match (outside.len(), inside.len()) {
                (0, _) => String::new(),
                // A range of this machine's ports for one port: any free one of them.
                (_, 1) => host.to_owned(),
                _ => outside.get(index).map(u16::to_string).unwrap_or_default(),
            };
            let key = format!("{port}/{protocol}");
            self.exposed.insert(key.clone(), json!({}));
            let bindings = self.bindings.entry(key).or_insert_with(|| json!([]));
            if let Value::Array(bindings) = bindings {
                bindings.push(json!({ "HostIp": ip, "HostPort": host }));
            }
        }
        Ok(())
    }
}

/// The parts of a published port.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Parts<'a> {
    /// Address of this machine; may be empty.
    pub(in crate::cli) ip: &'a str,
    /// Port or range of this machine; may be empty.
    pub(in crate::cli) host: &'a str,
    /// Port or range of the container.
    pub(in crate::cli) container: &'a str,
    /// tcp, udp or sctp.
    pub(in crate::cli) protocol: String,
}

/// Takes `[[ip:]port:]port[/protocol]` apart.
pub(in crate::cli) fn read_port_parts(text: &str) -> Result<Parts<'_>> {
    let (rest, protocol) = protocol(text)?;
    let (outside, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) = match outside.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((ip, host)) => (ip, host),
        None => outside.rsplit_once(':').unwrap_or(("", outside)),
    };
    Ok(Parts { ip, host, container, protocol })
}

fn protocol(text: &str) -> Result<(&str, String)> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol.to_ascii_lowercase() {
        protocol if ["tcp", "udp", "sctp"].contains(&protocol.as_str()) => Ok((rest, protocol)),
        other => Err(anyhow!("invalid proto: {other}")),
    }
}

fn range_of(range: &str, whole: &str) -> Result<std::ops::RangeInclusive<u16>> {
    let bad = || anyhow!("invalid containerPort: {whole}");
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first: u16 = first.parse().map_err(|_| bad())?;
    let last: u16 = last.parse().map_err(|_| bad())?;
    if first == 0 || first > last { Err(bad()) } else { Ok(first..=last) }
}

fn range_of_optional(range: &str, whole: &str) -> Result<Vec<u16>> {
    if range.is_empty() || range == "0" {
        return Ok(Vec::new());
    }
    range_of(range, whole).map(Iterator::collect).map_err(|_| anyhow!("invalid hostPort: {whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(text: &str) -> Result<Value> {
        Ok(Value::Object(Ports::read(&[text.to_owned()], &[])?.bindings))
    }

    #[test]
    fn ports_are_dockers() {
        let one = |ip: &str, port: &str| json!([{ "HostIp": ip, "HostPort": port }]);
        for (text, want) in [
            ("80", json!({"80/tcp": one("", "")})),
            ("8080:80", json!({"80/tcp": one("", "8080")})),
            ("127.0.0.1:8080:80/udp", json!({"80/udp": one("127.0.0.1", "8080")})),
            ("127.0.0.1::80", json!({"80/tcp": one("127.0.0.1", "")})),
            ("[::1]:8080:80", json!({"80/tcp": one("::1", "8080")})),
            ("8000-8001:80-81", json!({"80/tcp": one("", "8000"), "81/tcp": one("", "8001")})),
            ("8000-8010:80", json!({"80/tcp": one("", "8000-8010")})),
        ] {
            assert_eq!(bindings(text).expect(text), want, "{text}");
        }
        for text in ["x", "1:2:3:4:x", "80/ip", "0", "8000-8002:80-81", "x:80", "70000:80"] {
            assert!(bindings(text).is_err(), "{text}");
        }
        for (text, ranges) in [("8080:80-82", "80-82 and 8080"), ("0:80-81/udp", "80-81 and 0")] {
            let want = format!("invalid ranges specified for container and host Ports: {ranges}");
            assert_eq!(bindings(text).expect_err(text).to_string(), want);
        }
    }
}
