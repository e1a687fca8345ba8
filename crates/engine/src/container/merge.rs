//! What a container gets from its image, and the image's words in the engine's. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use shoal_image::RunConfig;

use crate::domain::{ContainerConfig, Healthcheck, HealthcheckTest, Port};

/// Fills what the caller left open from the image; Docker's rules.
pub(crate) fn merge(mut config: ContainerConfig, image: &RunConfig) -> ContainerConfig {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.workdir.is_empty() {
        config.workdir.clone_from(&image.working_dir);
    }
    merge_command(&mut config, image);
    merge_env(&mut config.env, &image.env);
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    // An image may name ports nobody can publish; they are nothing to fail for.
    config
        .exposed_ports
        .extend(image.exposed_ports.keys().filter_map(|port| port.parse::<Port>().ok()));
    config.volumes.extend(image.volumes.keys().cloned());
    if config.stop_signal.is_none() && !image.stop_signal.is_empty() {
        config.stop_signal = Some(image.stop_signal.clone());
    }
    config.stop_timeout_s = config.stop_timeout_s.or(image.stop_timeout);
    config.shell = config.shell.take().or_else(|| image.shell.clone());
    config.healthcheck = merge_health(config.healthcheck.take(), image.healthcheck.as_ref());
    config
}

/// An entrypoint of the caller also hides the image's arguments; `[""]` is one that
/// only does that.
fn merge_command(config: &mut ContainerConfig, image: &RunConfig) {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !given(&config.entrypoint) {
        if !given(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if config.entrypoint.as_ref().is_some_and(|list| list.len() == 1 && list[0].is_empty()) {
        config.entrypoint = None;
    }
}

/// The caller's variables first; the image's where the caller did not name them.
fn merge_env(env: &mut Vec<String>, image: &[String]) {
    let name =
        |variable: &str| variable.split_once('=').map_or(variable, |(name, _)| name).to_owned();
    let named: BTreeSet<String> = env.iter().map(|variable| name(variable)).collect();
    env.extend(image.iter().filter(|variable| !named.contains(&name(variable))).cloned());
}

fn merge_health(
    given: Option<Healthcheck>,
    image: Option<&shoal_image::Healthcheck>,
) -> Option<Healthcheck> {
    let image = image.map(health_of_image);
    let Some(mut given) = given else { return image };
    if let Some(image) = image {
        given.test = given.test.or(image.test);
        let or = |given: Duration, image: Duration| if given.is_zero() { image } else { given };
        given.interval = or(given.interval, image.interval);
        given.timeout = or(given.timeout, image.timeout);
        given.start_period = or(given.start_period, image.start_period);
        given.start_interval = or(given.start_interval, image.start_interval);
        if given.retries == 0 {
            given.retries = image.retries;
        }
    }
    Some(given)
}

fn health_of_image(check: &shoal_image::Healthcheck) -> Healthcheck {
    let time = |nanos: i64| Duration::from_nanos(u64::try_from(nanos).unwrap_or_default());
    let test = match check.test.split_first() {
        None => None,
        Some((kind, _)) if kind == "NONE" => Some(HealthcheckTest::Disabled),
        Some((kind, words)) if kind == "CMD-SHELL" => {
            Some(HealthcheckTest::Shell(words.first().cloned().unwrap_or_default()))
        }
        Some((_, words)) => Some(HealthcheckTest::Exec(words.to_vec())),
    };
    Healthcheck {
        test,
        interval: time(check.interval),
        timeout: time(check.timeout),
        start_period: time(check.start_period),
        start_interval: time(check.start_interval),
        retries: u32::try_from(check.retries).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    fn command(
        entrypoint: Option<Vec<String>>,
        cmd: Option<Vec<String>>,
    ) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let image =
            RunConfig { entrypoint: words(&["entry"]), cmd: words(&["arg"]), ..Default::default() };
        let config = ContainerConfig { entrypoint, cmd, ..ContainerConfig::default() };
        let merged = merge(config, &image);
        (merged.entrypoint, merged.cmd)
    }

    #[test]
    fn entrypoint_and_arguments_follow_dockers_table() {
        assert_eq!(command(None, None), (words(&["entry"]), words(&["arg"])));
        assert_eq!(command(None, words(&["x"])), (words(&["entry"]), words(&["x"])));
        assert_eq!(command(words(&["e"]), None), (words(&["e"]), None));
        assert_eq!(command(words(&["e"]), words(&["x"])), (words(&["e"]), words(&["x"])));
        assert_eq!(command(words(&[""]), words(&["x"])), (None, words(&["x"])));
        assert_eq!(command(words(&[""]), None), (None, None));
        assert_eq!(command(words(&[]), None), (words(&[]), words(&["arg"])));
    }

    #[test]
    fn the_callers_words_win_and_the_images_fill_in() {
        let image = RunConfig {
            env: vec!["PATH=/image".into(), "A=image".into(), "B=image".into()],
            user: "app".into(),
            working_dir: "/srv".into(),
            stop_signal: "SIGQUIT".into(),
            labels: [("a".into(), "image".into()), ("b".into(), "image".into())].into(),
            exposed_ports: [("80/tcp".into(), serde_json::Value::Null)].into(),
            ..Default::default()
        };
        let config = ContainerConfig {
            env: vec!["A=mine".into(), "B".into()],
            user: "me".into(),
            labels: [("a".into(), "mine".into())].into(),
            ..ContainerConfig::default()
        };
        let merged = merge(config, &image);
        assert_eq!(merged.env, ["A=mine", "B", "PATH=/image"]);
        assert_eq!((merged.user.as_str(), merged.workdir.as_str()), ("me", "/srv"));
        assert_eq!(merged.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!((merged.labels["a"].as_str(), merged.labels["b"].as_str()), ("mine", "image"));
        assert_eq!(merged.exposed_ports.len(), 1);
    }

    #[test]
    fn a_health_check_inherits_what_it_does_not_say() {
        let image = shoal_image::Healthcheck {
            test: vec!["CMD-SHELL".into(), "true".into()],
            interval: 5_000_000_000,
            retries: 4,
            ..Default::default()
        };
        let given = Healthcheck { interval: Duration::from_secs(1), ..Healthcheck::default() };
        let merged = merge_health(Some(given), Some(&image)).unwrap();
        assert_eq!(merged.test, Some(HealthcheckTest::Shell("true".into())));
        assert_eq!((merged.interval, merged.retries), (Duration::from_secs(1), 4));
        let none = Healthcheck { test: Some(HealthcheckTest::Disabled), ..Healthcheck::default() };
        let merged = merge_health(Some(none), Some(&image)).unwrap();
        assert_eq!(merged.test, Some(HealthcheckTest::Disabled));
    }
}
