//! `HEALTHCHECK`

use std::time::Duration;

use shoal_model::units;

use super::command::{CommandLine, Healthcheck};
use super::flags::Flags;
use super::words;

/// Docker's shortest time between two probes.
const MIN_DURATION: Duration = Duration::from_millis(1);

/// Reads the arguments behind the flags.
pub(crate) fn read(arguments: &str, flags: &Flags) -> Result<Healthcheck, String> {
    let (kind, rest) = words::split_first(arguments);
    match kind.to_ascii_uppercase().as_str() {
        "" => Err("HEALTHCHECK requires at least one argument".to_owned()),
        "NONE" if rest.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" => {
            let command = match words::json_list(rest)? {
                Some(list) => CommandLine::Exec(list),
                None => CommandLine::Shell(rest.to_owned()),
            };
            if rest.is_empty() || command == CommandLine::Exec(Vec::new()) {
                return Err("Missing command after HEALTHCHECK CMD".to_owned());
            }
            Ok(Healthcheck::Command {
                command,
                interval_ns: duration(flags, "interval")?,
                timeout_ns: duration(flags, "timeout")?,
                start_period_ns: duration(flags, "start-period")?,
                start_interval_ns: duration(flags, "start-interval")?,
                retries: retries(flags)?,
            })
        }
        other => Err(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")),
    }
}

fn duration(flags: &Flags, name: &str) -> Result<i64, String> {
    let Some(text) = flags.value(name).filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let duration = units::parse_go_duration(&text).map_err(|error| error.to_string())?;
    if !duration.is_zero() && duration < MIN_DURATION {
        return Err(format!("Interval {name:?} cannot be less than 1ms"));
    }
    i64::try_from(duration.as_nanos()).map_err(|_| format!("time: invalid duration {text:?}"))
}

fn retries(flags: &Flags) -> Result<i32, String> {
    let Some(text) = flags.value("retries").filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let number: i32 =
        text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))?;
    if number < 0 {
        return Err(format!("--retries cannot be negative ({number})"));
    }
    Ok(number)
}
