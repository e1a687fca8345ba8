//! Restart policy, log driver and security options in Docker's words.

use std::collections::BTreeMap;

use shoal_engine::domain::{RestartPolicy, SeccompChoice};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;

wire!(
    /// `RestartPolicy`.
    RestartDocument { name: String = "Name", max_retries: i64 = "MaximumRetryCount" }
);

wire!(
    /// `LogConfig`.
    LogDocument { driver: String = "Type", options: BTreeMap<String, String> = "Config" }
);

/// Reads a restart policy.
///
/// # Errors
/// `Invalid` with Docker's texts.
pub(super) fn read_restart(document: &RestartDocument) -> Result<RestartPolicy> {
    let RestartDocument { name, max_retries } = document;
    let policy = match name.as_str() {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => {
            let retries = u32::try_from(*max_retries).map_err(|_| {
                ApiError::invalid("invalid restart policy: maximum retry count cannot be negative")
            })?;
            return Ok(RestartPolicy::OnFailure { max_retries: (retries > 0).then_some(retries) });
        }
        other => {
            return Err(ApiError::invalid(format!(
                "invalid restart policy: unknown policy '{other}'; \
                 use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )));
        }
    };
    if *max_retries != 0 {
        return Err(ApiError::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok(policy)
}

/// What `--security-opt` asks for.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// System call filter.
    pub(super) seccomp: SeccompChoice,
    /// No process may gain privileges.
    pub(super) no_new_privileges: bool,
}

impl Security {
    /// Reads the options.
    ///
    /// # Errors
    /// `NotImplemented` for what Shoal cannot do, `Invalid` for the rest.
    pub(super) fn read(options: &[String]) -> Result<Self> {
        let mut security = Self::default();
        for option in options {
            security.take(option)?;
        }
        Ok(security)
    }

    fn take(&mut self, option: &str) -> Result<()> {
        if option == "no-new-privileges" {
            self.no_new_privileges = true;
            return Ok(());
        }
        let Some((key, value)) = option.split_once('=').or_else(|| option.split_once(':')) else {
            return Err(ApiError::invalid(format!("invalid --security-opt 1: {option:?}")));
        };
        match (key, value) {
            ("no-new-privileges", value) => {
                self.no_new_privileges = value.parse().map_err(|_| {
                    ApiError::invalid(format!("invalid --security-opt 2: {option:?}"))
                })?;
            }
            ("seccomp", "unconfined") => self.seccomp = SeccompChoice::Unconfined,
            ("seccomp", "builtin") => self.seccomp = SeccompChoice::Default,
            ("seccomp", profile) => self.seccomp = SeccompChoice::Profile(profile.to_owned()),
            // Neither is applied here, so asking for none is asking for what there is.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            _ => {
                return Err(ApiError::unsupported(format!(
                    "the security option (--security-opt) {option:?}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart(name: &str, max_retries: i64) -> Result<RestartPolicy> {
        read_restart(&RestartDocument { name: name.into(), max_retries })
    }

    #[test]
    fn restart_policies_are_dockers() {
        assert_eq!(restart("", 0).expect("none"), RestartPolicy::No);
        assert_eq!(
            restart("on-failure", 3).expect("a policy"),
            RestartPolicy::OnFailure { max_retries: Some(3) }
        );
        assert!(restart("always", 3).is_err() && restart("sometimes", 0).is_err());
    }

    #[test]
    fn security_options_are_read_or_refused_by_name() {
        let read = |option: &str| Security::read(&[option.to_owned()]);
        assert!(read("no-new-privileges").expect("an option").no_new_privileges);
        assert_eq!(
            read("seccomp=unconfined").expect("an option").seccomp,
            SeccompChoice::Unconfined
        );
        assert!(read("apparmor=mine").is_err() && read("nonsense").is_err());
    }
}
