//! Objects by what a user types: the id, the name, or the start of the id.

use std::sync::Arc;

use shoal_model::swarm::{Config, Node, Secret, Service, Task};
use shoal_model::{Classify, Kind};

use super::Store;

/// Nothing, or more than one thing, answers to what the user typed. Docker's
/// texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing does.
    #[error("{what} {text} not found")]
    NotFound {
        /// `node`, `service`, …
        what: &'static str,
        /// What the user typed.
        text: String,
    },
    /// Several do.
    #[error("{what} {text} is ambiguous ({count} matches found)")]
    Ambiguous {
        /// `node`, `service`, …
        what: &'static str,
        /// What the user typed.
        text: String,
        /// How many.
        count: usize,
    },
}

impl Classify for FindError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Ambiguous { .. } => Kind::Invalid,
        }
    }
}

impl Store {
    /// A service by id, name or the start of its id, in this order.
    pub fn find_service(&self, text: &str) -> Result<Arc<Service>, FindError> {
        find("service", text, self.services(), |service| {
            (service.id.as_str(), &service.spec.annotations.name)
        })
    }

    /// A node by id, host name or the start of its id, in this order.
    pub fn find_node(&self, text: &str) -> Result<Arc<Node>, FindError> {
        find("node", text, self.nodes(), |node| {
            let name = node.description.as_ref().map_or("", |d| d.hostname.as_str());
            (node.id.as_str(), name)
        })
    }

    /// A task by id, name (`web.1.<id>`), or the start of its id.
    pub fn find_task(&self, text: &str) -> Result<Arc<Task>, FindError> {
        // The last part of a task's name is its id.
        let id = text.rsplit('.').next().unwrap_or(text);
        let found = find("task", id, self.tasks(), |task| (task.id.as_str(), ""));
        match found {
            Ok(task) if id.len() == text.len() || task.name().starts_with(text) => Ok(task),
            Err(ambiguous @ FindError::Ambiguous { .. }) if id.len() == text.len() => {
                Err(ambiguous)
            }
            _ => Err(FindError::NotFound { what: "task", text: text.to_owned() }),
        }
    }

    /// A secret by id, name or the start of its id, in this order.
    pub fn find_secret(&self, text: &str) -> Result<Arc<Secret>, FindError> {
        find("secret", text, self.secrets(), |secret| {
            (secret.id.as_str(), &secret.spec.annotations.name)
        })
    }

    /// A config by id, name or the start of its id, in this order.
    pub fn find_config(&self, text: &str) -> Result<Arc<Config>, FindError> {
        find("config", text, self.configs(), |config| {
            (config.id.as_str(), &config.spec.annotations.name)
        })
    }
}

/// The object whose id is `text`; else the one whose name it is; else the one
/// whose id starts with it. The first of the three that matches decides.
fn find<'a, T: 'a>(
    what: &'static str,
    text: &str,
    objects: impl Iterator<Item = &'a Arc<T>>,
    id_and_name: impl Fn(&T) -> (&str, &str),
) -> Result<Arc<T>, FindError> {
    let (mut by_name, mut by_prefix) = (Vec::new(), Vec::new());
    for object in objects.filter(|_| !text.is_empty()) {
        let (id, name) = id_and_name(object);
        if id == text {
            return Ok(Arc::clone(object));
        }
        if name == text {
            by_name.push(object);
        }
        if id.starts_with(text) {
            by_prefix.push(object);
        }
    }
    let found = if by_name.is_empty() { by_prefix } else { by_name };
    match found.as_slice() {
        [] => Err(FindError::NotFound { what, text: text.to_owned() }),
        [one] => Ok(Arc::clone(one)),
        many => Err(FindError::Ambiguous { what, text: text.to_owned(), count: many.len() }),
    }
}
