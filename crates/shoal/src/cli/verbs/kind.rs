//! The kinds of objects, and where the API keeps them.

use std::fmt::Debug;

use crate::client::segment;

/// A kind of objects: its words, and its place in the API.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Kind {
    /// What `inspect --type` calls it.
    pub(in crate::cli) word: &'static str,
    /// What usage lines call it.
    pub(in crate::cli) placeholder: &'static str,
    /// How one of them is named.
    pub(in crate::cli) naming: &'static str,
    /// What `ls --filter` takes.
    pub(in crate::cli) filters: &'static str,
    /// What `ls --quiet` prints.
    pub(in crate::cli) quiet: &'static str,
    /// What `prune --filter` takes.
    pub(in crate::cli) prune_filters: &'static str,
    /// The folder of all of them.
    pub(in crate::cli) folder: &'static str,
    /// What follows a name in the path of everything about it.
    view: &'static str,
}

impl Kind {
    const fn new(word: &'static str, placeholder: &'static str, folder: &'static str) -> Self {
        Self {
            word,
            placeholder,
            naming: "Names, or the beginnings of ids",
            filters: "Only those that match",
            quiet: "Ids only",
            prune_filters: "Only those that match: until=…, label=…",
            folder,
            view: "",
        }
    }

    /// The path of one of them, for its verbs.
    pub(in crate::cli) fn path(&self, name: &str) -> String {
        format!("{}/{}", self.folder, segment(name))
    }

    /// The path of everything about one of them.
    pub(in crate::cli) fn view_path(&self, name: &str) -> String {
        format!("{}{}", self.path(name), self.view)
    }
}

/// A type that stands for a kind, so that a verb's flags know it.
pub(in crate::cli) trait Object: Debug + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;
}

/// All kinds, in the order `inspect` looks for a name in them.
pub(in crate::cli) const KINDS: [Kind; 7] = [
    Container::KIND,
    Image::KIND,
    Network::KIND,
    Volume::KIND,
    Node::KIND,
    Service::KIND,
    Task::KIND,
];

/// Containers.
#[derive(Debug)]
pub(in crate::cli) struct Container;

impl Object for Container {
    const KIND: Kind = Kind {
        filters: "Only those that match: name=…, label=…, status=…, ancestor=…",
        view: "/json",
        ..Kind::new("container", "CONTAINER", "/containers")
    };
}

/// Images.
#[derive(Debug)]
pub(in crate::cli) struct Image;

impl Object for Image {
    const KIND: Kind = Kind {
        filters: "Only those that match: reference=…, dangling=…, label=…, before=…, since=…",
        view: "/json",
        ..Kind::new("image", "IMAGE", "/images")
    };
}

/// Networks.
#[derive(Debug)]
pub(in crate::cli) struct Network;

impl Object for Network {
    const KIND: Kind = Kind {
        filters: "Only those that match: name=…, driver=…, label=…, type=custom|builtin",
        ..Kind::new("network", "NETWORK", "/networks")
    };
}

/// Volumes, which have names and no ids.
#[derive(Debug)]
pub(in crate::cli) struct Volume;

impl Object for Volume {
    const KIND: Kind = Kind {
        naming: "Names",
        filters: "Only those that match: name=…, dangling=…, label=…, driver=…",
        quiet: "Names only",
        prune_filters: "Only those that match: label=…",
        ..Kind::new("volume", "VOLUME", "/volumes")
    };
}

/// Nodes of the swarm.
#[derive(Debug)]
pub(in crate::cli) struct Node;

impl Object for Node {
    const KIND: Kind = Kind {
        naming: "Host names, or the beginnings of ids",
        filters: "Only those that match: name=…, role=…, node.label=…",
        ..Kind::new("node", "NODE", "/nodes")
    };
}

/// Services of the swarm.
#[derive(Debug)]
pub(in crate::cli) struct Service;

impl Object for Service {
    const KIND: Kind = Kind {
        filters: "Only those that match: name=…, label=…, mode=…",
        ..Kind::new("service", "SERVICE", "/services")
    };
}

/// Tasks of services.
#[derive(Debug)]
pub(in crate::cli) struct Task;

impl Object for Task {
    const KIND: Kind = Kind {
        filters: "Only those that match: name=…, node=…, desired-state=running|shutdown",
        ..Kind::new("task", "TASK", "/tasks")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(Image::KIND.path("a/b:c d"), "/images/a/b:c%20d");
        assert_eq!(Image::KIND.view_path("a/b"), "/images/a/b/json");
        assert_eq!(Network::KIND.view_path("a"), "/networks/a");
    }
}
