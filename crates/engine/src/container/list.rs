//! Lists containers, from memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shoal_image::ImageUse;
use shoal_model::{Digest, Timestamp};

use super::Containers;
use super::container::Container;
use super::inspect::{endpoints, is_visible, ports};
use super::record::Record;
use super::state::{Phase, RunState};
use super::status_text::status_text;
use crate::clock;
use crate::domain::{
    BoundPort, ContainerCounts, ContainerSummary, HealthStatus, ListFilter, MountKind, Port,
    Protocol,
};
use crate::error::ContainerError;

/// The label every container of a swarm task has.
const TASK_LABEL: &str = "com.docker.swarm.task.id";
/// Words of the `status` filter.
const STATUSES: [&str; 7] =
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
/// Words of the `health` filter.
const HEALTHS: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

impl Containers {
    /// The containers a filter lets through, newest first; from memory.
    ///
    /// # Errors
    /// A filter value nobody knows, a `before` or `since` container that is not there.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, ContainerError> {
        let wanted = Wanted::new(self, filter)?;
        let mut containers: Vec<(Arc<Container>, Arc<Record>)> = self
            .table
            .all()
            .into_iter()
            .map(|container| {
                let record = container.record();
                (container, record)
            })
            .filter(|(_, record)| !record.hidden)
            .collect();
        containers.sort_by(|(_, a), (_, b)| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        let now = clock::now();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let summaries = containers.iter().filter_map(|(container, record)| {
            let state = container.state.borrow();
            if !wanted.allows(record, &state) {
                return None;
            }
            let summary = self.summary(record, &state, now);
            wanted.allows_summary(&summary).then_some(summary)
        });
        Ok(summaries.take(limit).collect())
    }

    /// How many containers there are.
    pub fn counts(&self) -> ContainerCounts {
        let mut counts = ContainerCounts::default();
        for container in self.table.all().iter().filter(|container| is_visible(container)) {
            match container.state.borrow().phase {
                Phase::Running => counts.running += 1,
                Phase::Paused => counts.paused += 1,
                _ => counts.stopped += 1,
            }
        }
        counts
    }

    /// The containers that use an image; what the image store asks before a removal.
    pub fn users_of_image(&self, image: &Digest) -> Vec<ImageUse> {
        let all = self.table.all();
        let users =
            all.iter().filter(|container| container.record().image_id.as_ref() == Some(image));
        users
            .map(|container| ImageUse {
                container: container.id.short().to_owned(),
                running: container.state.borrow().phase.is_active(),
            })
            .collect()
    }

    /// The image's name as it was given, or its id once the name is another's or nobody's.
    fn image_text(&self, record: &Record) -> String {
        let Some(id) = &record.image_id else { return record.config.image.clone() };
        match self.node.images.id_of(&record.config.image) {
            Ok(found) if found == *id => record.config.image.clone(),
            _ => id.to_string(),
        }
    }

    fn summary(&self, record: &Record, state: &RunState, now: Timestamp) -> ContainerSummary {
        let sandbox = self.node.networks.state(&record.id);
        ContainerSummary {
            id: record.id.clone(),
            name: record.name.clone(),
            image: self.image_text(record),
            image_id: record.image_id.clone(),
            command: command_text(&record.command()),
            created_at: record.created_at,
            status: state.phase.status(),
            status_text: status_text(state, now),
            labels: record.config.labels.clone(),
            ports: ports(record, sandbox.as_ref()),
            network_mode: record.host.network_mode.to_string(),
            networks: endpoints(record, sandbox.as_ref()),
            mounts: record.mounts.clone(),
        }
    }
}

/// The command as `ps` shows it, arguments with spaces in quotes; Docker's form.
fn command_text(command: &[String]) -> String {
    let mut text = command.first().cloned().unwrap_or_default();
    for argument in command.iter().skip(1) {
        text += " ";
        match argument.contains(' ') {
            true => text += &format!("'{argument}'"),
            false => text += argument,
        }
    }
    text
}

/// A filter with its names looked up.
struct Wanted<'a> {
    filter: &'a ListFilter,
    /// Ids of images of the `ancestor` filter.
    ancestors: BTreeSet<String>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    publish: Vec<PortRange>,
    expose: Vec<PortRange>,
}

impl<'a> Wanted<'a> {
    fn new(containers: &Containers, filter: &'a ListFilter) -> Result<Self, ContainerError> {
        check_words("status", &filter.status, &STATUSES)?;
        check_words("health", &filter.health, &HEALTHS)?;
        let made_at = |name: &Option<String>| -> Result<Option<Timestamp>, ContainerError> {
            match name {
                None => Ok(None),
                Some(name) => Ok(Some(containers.table.find(name)?.record().created_at)),
            }
        };
        let images = &containers.node.images;
        let ancestors = filter.ancestor.iter().filter_map(|name| images.id_of(name).ok());
        Ok(Wanted {
            filter,
            ancestors: ancestors.map(|id| id.to_string()).collect(),
            before: made_at(&filter.before)?,
            since: made_at(&filter.since)?,
            publish: PortRange::read_all("publish", &filter.publish)?,
            expose: PortRange::read_all("expose", &filter.expose)?,
        })
    }

    /// Everything that can be told without the networks.
    fn allows(&self, record: &Record, state: &RunState) -> bool {
        let filter = self.filter;
        let any = |set: &BTreeSet<String>, test: &dyn Fn(&str) -> bool| {
            set.is_empty() || set.iter().any(|value| test(value))
        };
        let all = filter.all
            || filter.limit.is_some()
            || !filter.status.is_empty()
            || !filter.exited.is_empty();
        (all || state.phase.is_active() && !matches!(state.phase, Phase::Starting { .. }))
            && any(&filter.id, &|id| record.id.as_str().starts_with(id))
            && (filter.name.is_empty()
                || filter.name.iter().any(|name| name.matches_container(&record.name)))
            && filter.label.iter().all(|label| has_label(&record.config.labels, label))
            && any(&filter.status, &|status| state.phase.status().as_str() == status)
            && (filter.exited.is_empty() || has_exited(filter, state))
            && any(&filter.health, &|health| health_of(state).as_str() == health)
            && self.before.is_none_or(|before| record.created_at < before)
            && self.since.is_none_or(|since| record.created_at > since)
            && any(&filter.volume, &|volume| uses_volume(record, volume))
            && filter.is_task.is_none_or(|is| record.config.labels.contains_key(TASK_LABEL) == is)
            && self.allows_image(record)
    }

    fn allows_image(&self, record: &Record) -> bool {
        let filter = self.filter;
        filter.ancestor.is_empty()
            || record.image_id.as_ref().is_some_and(|id| self.ancestors.contains(id.as_str()))
    }

    fn allows_summary(&self, summary: &ContainerSummary) -> bool {
        let networks = &self.filter.network;
        let in_network = networks.is_empty()
            || summary.networks.iter().any(|(name, endpoint)| {
                networks.contains(name)
                    || endpoint.network_id.as_ref().is_some_and(|id| {
                        networks.iter().any(|begin| id.as_str().starts_with(begin.as_str()))
                    })
            });
        in_network && self.allows_ports(&summary.ports)
    }

    /// As in Docker, a container that matches either of the two filters is shown.
    fn allows_ports(&self, ports: &BTreeMap<Port, Vec<BoundPort>>) -> bool {
        let published = |(port, bound): (&Port, &Vec<BoundPort>)| {
            bound.iter().any(|bound| {
                let on_host = Port { number: bound.host_port, protocol: port.protocol };
                self.publish.iter().any(|range| range.has(&on_host))
            })
        };
        let exposed = |port: &Port| self.expose.iter().any(|range| range.has(port));
        self.publish.is_empty() && self.expose.is_empty()
            || ports.iter().any(published)
            || ports.keys().any(exposed)
    }
}

fn check_words(what: &str, given: &BTreeSet<String>, known: &[&str]) -> Result<(), ContainerError> {
    match given.iter().find(|word| !known.contains(&word.as_str())) {
        None => Ok(()),
        Some(word) => Err(ContainerError::Invalid(format!("invalid filter '{what}={word}'"))),
    }
}

/// Whether labels have `key` or `key=value`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        None => labels.contains_key(wanted),
        Some((key, value)) => labels.get(key).is_some_and(|has| has == value),
    }
}

fn has_exited(filter: &ListFilter, state: &RunState) -> bool {
    state.finished_at.is_some()
        && !state.phase.has_process()
        && filter.exited.contains(&state.exit_code)
}

fn health_of(state: &RunState) -> HealthStatus {
    state.health.as_ref().map(|health| health.status).unwrap_or_default()
}

fn uses_volume(record: &Record, wanted: &str) -> bool {
    record.mounts.iter().any(|point| {
        point.mount.destination == wanted
            || matches!(&point.mount.kind, MountKind::Volume { name: Some(name), .. } if name == wanted)
    })
}

/// `80`, `80/tcp`, `8000-8010/udp`.
#[derive(Debug, PartialEq, Eq)]
struct PortRange {
    first: u16,
    last: u16,
    protocol: Protocol,
}

impl PortRange {
    fn read_all(what: &str, texts: &BTreeSet<String>) -> Result<Vec<Self>, ContainerError> {
        let wrong = |text: &str| ContainerError::Invalid(format!("invalid filter '{what}={text}'"));
        texts.iter().map(|text| Self::read(text).ok_or_else(|| wrong(text))).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let end: Port = format!("{last}/{protocol}").parse().ok()?;
        let (first, last) = (first.parse().ok()?, end.number);
        (first <= last).then_some(PortRange { first, last, protocol: end.protocol })
    }

    fn has(&self, port: &Port) -> bool {
        port.protocol == self.protocol && (self.first..=self.last).contains(&port.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_filters_take_ranges_and_protocols() {
        let range = PortRange::read("8000-8010/udp").unwrap();
        assert!(range.has(&"8005/udp".parse().unwrap()));
        assert!(!range.has(&"8005/tcp".parse().unwrap()));
        assert!(PortRange::read("80").unwrap().has(&"80/tcp".parse().unwrap()));
        for text in ["http", "9-8", "80:80", ""] {
            assert!(PortRange::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_published_port_is_the_hosts() {
        let filter = ListFilter::default();
        let wanted = |publish: &[&str], expose: &[&str]| {
            let read = |texts: &[&str]| -> Vec<PortRange> {
                texts.iter().map(|text| PortRange::read(text).unwrap()).collect()
            };
            Wanted {
                filter: &filter,
                ancestors: BTreeSet::new(),
                before: None,
                since: None,
                publish: read(publish),
                expose: read(expose),
            }
        };
        let bound = BoundPort { host_ip: [0, 0, 0, 0].into(), host_port: 8080 };
        let ports = BTreeMap::from([
            ("80/tcp".parse().unwrap(), vec![bound]),
            ("53/udp".parse().unwrap(), Vec::new()),
        ]);
        for (publish, expose, shown) in [
            (&[][..], &[][..], true),
            (&["8080"], &[], true),
            (&["8000-8100/tcp"], &[], true),
            (&["8080/udp"], &[], false),
            (&["80"], &[], false),
            (&[], &["80"], true),
            (&[], &["53/udp"], true),
            (&[], &["8080"], false),
            (&["1"], &["80"], true),
        ] {
            assert_eq!(
                wanted(publish, expose).allows_ports(&ports),
                shown,
                "{publish:?} {expose:?}"
            );
        }
    }

    #[test]
    fn arguments_with_spaces_are_quoted() {
        let command = ["sh", "-c", "sleep 1"].map(str::to_owned);
        assert_eq!(command_text(&command), "sh -c 'sleep 1'");
        assert_eq!(command_text(&[]), "");
    }

    #[test]
    fn unknown_words_are_named() {
        let error = check_words("status", &["flying".to_owned()].into(), &STATUSES).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'status=flying'");
    }
}
