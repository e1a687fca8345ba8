//! What a change of a swarm object is told as: Docker's attributes, old and new.

use shoal_model::swarm::{Node, Service, ServiceMode, UpdateState};

/// Attributes of an event.
pub(crate) type Attributes = Vec<(&'static str, String)>;

/// What changed in a service.
pub(crate) fn of_service(old: &Service, new: &Service) -> Attributes {
    let mut attributes = vec![("name", new.spec.annotations.name.clone())];
    let image = |service: &Service| service.spec.task.container.image.clone();
    if image(old) != image(new) {
        attributes.extend([("image.old", image(old)), ("image.new", image(new))]);
    }
    if let ServiceMode::Replicated { replicas: old } = old.spec.mode
        && let ServiceMode::Replicated { replicas: new } = new.spec.mode
        && old != new
    {
        attributes.extend([("replicas.old", old.to_string()), ("replicas.new", new.to_string())]);
    }
    let state = |service: &Service| {
        service.update_status.as_ref().map(|status| UpdateState::as_str(status.state))
    };
    if let Some(reached) = state(new)
        && state(old) != Some(reached)
    {
        attributes.extend(state(old).map(|state| ("updatestate.old", state.to_owned())));
        attributes.push(("updatestate.new", reached.to_owned()));
    }
    attributes
}

/// What changed in a node.
pub(crate) fn of_node(old: &Node, new: &Node) -> Attributes {
    let mut attributes = vec![("name", name(new))];
    let availability = |node: &Node| node.spec.availability.as_str().to_owned();
    if availability(old) != availability(new) {
        attributes.push(("availability.old", availability(old)));
        attributes.push(("availability.new", availability(new)));
    }
    let role = |node: &Node| node.role.as_str().to_owned();
    if role(old) != role(new) {
        attributes.extend([("role.old", role(old)), ("role.new", role(new))]);
    }
    let state = |node: &Node| node.status.state.as_str().to_owned();
    if state(old) != state(new) {
        attributes.extend([("state.old", state(old)), ("state.new", state(new))]);
    }
    attributes
}

/// The name of a node in events: its own, else its machine's.
pub(crate) fn name(node: &Node) -> String {
    match node.spec.annotations.name.as_str() {
        "" => node.hostname().to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shoal_model::Timestamp;
    use shoal_model::swarm::{Availability, NodeState, UpdateStatus};

    use super::super::swarm_spec::ServiceDocument;
    use super::super::wire::{At, Wire};
    use super::*;

    fn service(image: &str, replicas: u64, state: Option<UpdateState>) -> Service {
        let document = json!({
            "Name": "web", "Mode": {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {"ContainerSpec": {"Image": image}},
        });
        let document = ServiceDocument::read(document, &At::ROOT).expect("a document");
        Service {
            id: "00000000000000000000000s1".parse().expect("an id"),
            meta: Default::default(),
            spec: document.into_domain(&str::to_owned).expect("a spec"),
            spec_version: Default::default(),
            previous_spec: None,
            previous_spec_version: None,
            endpoint: None,
            update_status: state.map(|state| UpdateStatus {
                state,
                started_at: Timestamp::EPOCH,
                completed_at: None,
                message: String::new(),
            }),
        }
    }

    fn text(attributes: &Attributes) -> String {
        let pairs = attributes.iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_service_tells_what_changed() {
        let old = service("a:1", 1, None);
        assert_eq!(text(&of_service(&old, &old)), "name=web");
        let new = service("a:2", 3, Some(UpdateState::Updating));
        assert_eq!(
            text(&of_service(&old, &new)),
            "name=web image.old=a:1 image.new=a:2 replicas.old=1 replicas.new=3 \
             updatestate.new=updating"
        );
        let done = service("a:2", 3, Some(UpdateState::Completed));
        assert_eq!(
            text(&of_service(&new, &done)),
            "name=web updatestate.old=updating updatestate.new=completed"
        );
    }

    #[test]
    fn a_node_tells_what_changed() {
        let old = Node {
            id: "00000000000000000000000n1".parse().expect("an id"),
            meta: Default::default(),
            spec: Default::default(),
            description: None,
            status: Default::default(),
            manager_status: None,
            certificate: Default::default(),
            role: Default::default(),
        };
        let mut new = old.clone();
        new.spec.annotations.name = "left".into();
        new.spec.availability = Availability::Drain;
        new.status.state = NodeState::Down;
        assert_eq!(
            text(&of_node(&old, &new)),
            "name=left availability.old=active availability.new=drain state.old=unknown \
             state.new=down"
        );
    }
}
