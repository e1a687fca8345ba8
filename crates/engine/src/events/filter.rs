//! Which events a listener wants.

use std::collections::BTreeSet;

use super::{Event, ObjectType};

/// A choice of events. Within one field any value may match, between fields all must;
/// empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Actions; `exec_create` also matches `exec_create: sh`.
    pub event: BTreeSet<String>,
    /// Object types in Docker's words.
    pub object: BTreeSet<String>,
    /// Containers by name or begin of the id.
    pub container: BTreeSet<String>,
    /// Images by name or id.
    pub image: BTreeSet<String>,
    /// `key` or `key=value`; every one must match.
    pub label: BTreeSet<String>,
    /// Networks by name or id.
    pub network: BTreeSet<String>,
    /// Volumes by name.
    pub volume: BTreeSet<String>,
    /// `local` or `swarm`.
    pub scope: BTreeSet<String>,
}

impl EventFilter {
    /// Whether the listener wants this event.
    pub fn matches(&self, event: &Event) -> bool {
        let scope = match event.object {
            ObjectType::Service | ObjectType::Node | ObjectType::Secret | ObjectType::Config => {
                "swarm"
            }
            _ => "local",
        };
        let action = event.action.split_once(':').map_or(event.action.as_str(), |(verb, _)| verb);
        (self.event.is_empty() || self.event.contains(action) || self.event.contains(&event.action))
            && (self.object.is_empty() || self.object.contains(event.object.as_str()))
            && (self.scope.is_empty() || self.scope.contains(scope))
            && self.matches_object(&self.container, ObjectType::Container, event)
            && self.matches_image(event)
            && self.matches_object(&self.network, ObjectType::Network, event)
            && self.matches_object(&self.volume, ObjectType::Volume, event)
            && self.label.iter().all(|label| has_label(event, label))
    }

    fn matches_object(&self, wanted: &BTreeSet<String>, object: ObjectType, event: &Event) -> bool {
        wanted.is_empty()
            || event.object == object
                && wanted.iter().any(|name| {
                    event.id.starts_with(name.as_str())
                        || event.attributes.get("name").is_some_and(|has| has == name)
                })
            // An event of another object that concerns the wanted one names it, too.
            || wanted.iter().any(|name| {
                event.object != object && event.attributes.get(object.as_str()) == Some(name)
            })
    }

    fn matches_image(&self, event: &Event) -> bool {
        self.image.is_empty()
            || self.image.iter().any(|image| match event.object {
                ObjectType::Image => {
                    event.id == *image || event.attributes.get("name") == Some(image)
                }
                _ => event.attributes.get("image").is_some_and(|has| {
                    has == image || has.split_once(':').is_some_and(|(name, _)| name == image)
                }),
            })
    }
}

fn has_label(event: &Event, label: &str) -> bool {
    match label.split_once('=') {
        None => event.attributes.contains_key(label),
        Some((key, value)) => event.attributes.get(key).is_some_and(|has| has == value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_model::Timestamp;

    fn event(action: &str) -> Event {
        Event {
            time: Timestamp::EPOCH,
            object: ObjectType::Container,
            action: action.into(),
            id: "c0ffee".into(),
            attributes: [("name", "web"), ("image", "nginx:1"), ("tier", "front")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    fn set(value: &str) -> BTreeSet<String> {
        [value.to_owned()].into()
    }

    #[test]
    fn every_field_has_its_say() {
        let start = event("start");
        let yes = |filter: EventFilter| assert!(filter.matches(&start), "{filter:?}");
        let no = |filter: EventFilter| assert!(!filter.matches(&start), "{filter:?}");
        yes(EventFilter::default());
        yes(EventFilter { event: set("start"), ..Default::default() });
        no(EventFilter { event: set("die"), ..Default::default() });
        yes(EventFilter { container: set("web"), ..Default::default() });
        yes(EventFilter { container: set("c0f"), ..Default::default() });
        no(EventFilter { container: set("db"), ..Default::default() });
        yes(EventFilter { image: set("nginx"), ..Default::default() });
        yes(EventFilter { label: set("tier=front"), ..Default::default() });
        no(EventFilter { label: set("tier=back"), ..Default::default() });
        no(EventFilter { object: set("network"), ..Default::default() });
        no(EventFilter { scope: set("swarm"), ..Default::default() });
        let exec = EventFilter { event: set("exec_start"), ..Default::default() };
        assert!(exec.matches(&event("exec_start: sh -c true")));
    }
}
