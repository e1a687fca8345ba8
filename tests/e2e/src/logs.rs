//! The daemons' logs: what a test did not expect must not be in them.

/// The lines of `log` at level WARN or ERROR that contain none of `expected`.
pub(crate) fn unexpected<'a>(log: &'a str, expected: &[String]) -> Vec<&'a str> {
    let loud = |line: &&str| {
        let mut words = line.split_whitespace();
        words.any(|word| matches!(word, "WARN" | "ERROR")) || line.contains("panicked at")
    };
    let known = |line: &&str| expected.iter().any(|text| line.contains(text.as_str()));
    log.lines().filter(loud).filter(|line| !known(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_loud_and_unknown_counts() {
        let log =
            "T INFO a: fine\nT WARN b: disk is slow\nT ERROR c: gone\nthread 'x' panicked at y";
        assert_eq!(
            unexpected(log, &["slow".into()]),
            ["T ERROR c: gone", "thread 'x' panicked at y"]
        );
    }
}
