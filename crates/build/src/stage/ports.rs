//! `EXPOSE`

/// The ports a specification names: `80`, `80/udp`, `8000-8010/tcp`, also with
/// a host's part, which has no meaning in an image.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.to_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let ports = ports.rsplit(':').next().unwrap_or(ports);
    if ports.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| format!("invalid containerPort: {ports}"));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(format!("invalid containerPort: {ports}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_protocols() {
        assert_eq!(parse("80").unwrap(), ["80/tcp"]);
        assert_eq!(parse("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(parse("8080:80").unwrap(), ["80/tcp"]);
        assert_eq!(parse("7-9").unwrap(), ["7/tcp", "8/tcp", "9/tcp"]);
        for wrong in ["", "x", "9-7", "70000", "80/foo", "-"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
