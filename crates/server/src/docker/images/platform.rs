//! The `platform` parameter.

use shoal_model::Platform;

use super::super::error::{ApiError, Result};

/// What Go has ports to: a word alone must be one of these.
const SYSTEMS: [&str; 13] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "solaris",
    "windows",
];

/// Processors, by the names that may stand alone for this system's.
const PROCESSORS: [&str; 15] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "x86_64", "aarch64",
];

/// Reads `linux/amd64`, and `linux` or `amd64` alone.
///
/// # Errors
/// `Invalid` with Docker's text.
pub(crate) fn read_platform(text: &str) -> Result<Platform> {
    let word = text.to_lowercase();
    let alone = !word.is_empty() && !word.contains('/') && !SYSTEMS.contains(&word.as_str());
    if alone && !PROCESSORS.contains(&word.as_str()) {
        return Err(ApiError::invalid(format!(
            "{text:?}: unknown operating system or architecture: invalid argument"
        )));
    }
    let full = if alone { format!("{}/{word}", Platform::host().os) } else { text.to_owned() };
    Platform::parse(&full).ok_or_else(|| {
        ApiError::invalid(format!(
            "{text:?} is an invalid OS component of {text:?}: invalid platform"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_is_a_system_or_a_processor() {
        let read = |text| read_platform(text).map(|platform| platform.to_string());
        assert_eq!(read("arm64").expect("a processor"), "linux/arm64");
        assert_eq!(read("linux/arm64/v8").expect("a platform"), "linux/arm64/v8");
        assert_eq!(read_platform("linux").expect("a system"), Platform::host());
        assert_eq!(
            read("foo").expect_err("neither").message(),
            "\"foo\": unknown operating system or architecture: invalid argument"
        );
        assert!(read("").is_err() && read("a/b/c/d").is_err());
    }
}
