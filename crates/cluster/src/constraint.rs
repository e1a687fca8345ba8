//! Placement constraints: `node.labels.disk == ssd`.

use std::net::IpAddr;

use shoal_model::swarm::{Node, TaskSpec};
use shoal_model::{Classify, Kind};

/// One condition a node must meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    key: Key,
    equal: bool,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Id,
    Hostname,
    Ip,
    Role,
    Os,
    Architecture,
    NodeLabel(String),
    EngineLabel(String),
    /// Well written, and no node has it: never met, as in Docker.
    Unknown,
}

/// A text that is no constraint. SwarmKit's texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// No operator.
    #[error("constraint expected one operator from ==, !=")]
    Operator,
    /// The left side is not a name.
    #[error("key '{0}' is invalid")]
    Key(String),
    /// The right side has other characters than a value may have.
    #[error("value '{0}' is invalid")]
    Value(String),
}

impl Classify for ConstraintError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Constraint {
    /// Reads a constraint. Keys and values are compared without regard to
    /// case; the names of labels are not.
    ///
    /// # Errors
    /// The text is no constraint.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let operators = [("==", true), ("!=", false)];
        let first = operators
            .iter()
            .filter_map(|(operator, equal)| text.find(operator).map(|at| (at, *equal)))
            .min();
        let Some((at, equal)) = first else { return Err(ConstraintError::Operator) };
        let (key, value) = (text[..at].trim(), text[at + 2..].trim());
        if !is_key(key) {
            return Err(ConstraintError::Key(key.to_owned()));
        }
        if !is_value(value) {
            return Err(ConstraintError::Value(value.to_owned()));
        }
        Ok(Self { key: Key::read(key), equal, value: value.to_owned() })
    }

    /// Whether the node meets it.
    pub fn met_by(&self, node: &Node) -> bool {
        let description = node.description.as_ref();
        let platform = description.and_then(|description| description.platform.as_ref());
        let label = |labels: Option<&std::collections::BTreeMap<String, String>>, name: &str| {
            // A label that is not there equals nothing, not even "".
            let value = labels.and_then(|labels| labels.get(name));
            self.matches(value.is_some_and(|value| self.equals(value)))
        };
        match &self.key {
            Key::Id => self.matches(self.equals(node.id.as_str())),
            Key::Hostname => self.matches(description.is_some_and(|d| self.equals(&d.hostname))),
            Key::Ip => self.matches(self.equals_address(&node.status.addr)),
            Key::Role => self.matches(self.equals(node.role.as_str())),
            Key::Os => self.matches(platform.is_some_and(|p| self.equals(&p.os))),
            Key::Architecture => {
                self.matches(platform.is_some_and(|p| self.equals(&p.architecture)))
            }
            Key::NodeLabel(name) => label(Some(&node.spec.annotations.labels), name),
            Key::EngineLabel(name) => label(description.map(|d| &d.engine.labels), name),
            Key::Unknown => false,
        }
    }

    fn matches(&self, equal: bool) -> bool {
        equal == self.equal
    }

    fn equals(&self, value: &str) -> bool {
        self.value.to_lowercase() == value.to_lowercase()
    }

    /// The value is an address or a network (`10.0.0.0/8`).
    fn equals_address(&self, addr: &str) -> bool {
        let Ok(addr) = addr.parse::<IpAddr>() else { return false };
        match self.value.split_once('/') {
            None => self.value.parse() == Ok(addr),
            Some((network, length)) => match (network.parse(), length.parse()) {
                (Ok(network), Ok(length)) => in_network(addr, network, length),
                _ => false,
            },
        }
    }
}

impl Key {
    fn read(key: &str) -> Self {
        let lower = key.to_lowercase();
        match lower.as_str() {
            "node.id" => Self::Id,
            "node.hostname" => Self::Hostname,
            "node.ip" => Self::Ip,
            "node.role" => Self::Role,
            "node.platform.os" => Self::Os,
            "node.platform.arch" => Self::Architecture,
            _ if lower.starts_with("node.labels.") => {
                Self::NodeLabel(key["node.labels.".len()..].to_owned())
            }
            _ if lower.starts_with("engine.labels.") => {
                Self::EngineLabel(key["engine.labels.".len()..].to_owned())
            }
            _ => Self::Unknown,
        }
    }
}

/// Whether the node meets every constraint of the spec. A spec that was
/// accepted has only good ones; one that cannot be read is met by no node.
pub(crate) fn all_met(spec: &TaskSpec, node: &Node) -> bool {
    let constraints = spec.placement.as_ref().map_or(&[][..], |placement| &placement.constraints);
    constraints.iter().all(|text| Constraint::parse(text).is_ok_and(|one| one.met_by(node)))
}

fn in_network(addr: IpAddr, network: IpAddr, length: u32) -> bool {
    match (addr, network) {
        (IpAddr::V4(addr), IpAddr::V4(network)) => {
            length <= 32
                && (length == 0 || (addr.to_bits() ^ network.to_bits()) >> (32 - length) == 0)
        }
        (IpAddr::V6(addr), IpAddr::V6(network)) => {
            length <= 128
                && (length == 0 || (addr.to_bits() ^ network.to_bits()) >> (128 - length) == 0)
        }
        _ => false,
    }
}

fn is_key(key: &str) -> bool {
    let mut characters = key.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = characters.as_str();
    first
        && !rest.is_empty()
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

fn is_value(value: &str) -> bool {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":-_.*()?+[]\\^$|/".contains(c)
    };
    !value.is_empty() && value.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cluster::node;

    fn met(text: &str, node: &Node) -> bool {
        Constraint::parse(text).unwrap().met_by(node)
    }

    #[test]
    fn each_key_reads_its_field() {
        let mut node = node("Alpha");
        node.status.addr = "10.1.2.3".to_owned();
        node.spec.annotations.labels.insert("disk".into(), "SSD".into());
        let description = node.description.get_or_insert_default();
        description.engine.labels.insert("Zone".into(), "a".into());
        for text in [
            "node.hostname==alpha",
            "node.hostname == ALPHA",
            "node.hostname != beta",
            "node.role==worker",
            "node.platform.os==linux",
            "node.platform.arch==x86_64",
            "node.labels.disk==ssd",
            "node.labels.disk != hdd",
            "node.labels.missing != x",
            "engine.labels.Zone==A",
            "node.ip==10.1.2.3",
            "node.ip==10.1.0.0/16",
            "node.ip!=10.2.0.0/16",
            "NODE.ROLE==Worker",
        ] {
            assert!(met(text, &node), "{text}");
        }
        for text in [
            "node.hostname==beta",
            "node.role!=worker",
            "node.role==manager",
            "node.labels.missing==x",
            "node.labels.DISK==ssd",
            "engine.labels.zone==a",
            "foo.bar==x",
            "foo.bar!=x",
            "node.ip==10.1.2.4",
        ] {
            assert!(!met(text, &node), "{text}");
        }
        assert!(met(&format!("node.id=={}", node.id), &node));
    }

    #[test]
    fn what_is_no_constraint_is_refused_with_dockers_words() {
        let error = |text| Constraint::parse(text).unwrap_err().to_string();
        assert_eq!(error("node.role"), "constraint expected one operator from ==, !=");
        assert_eq!(error("node.role=worker"), "constraint expected one operator from ==, !=");
        assert_eq!(error("1node==x"), "key '1node' is invalid");
        assert_eq!(error("==x"), "key '' is invalid");
        assert_eq!(error("node.role=="), "value '' is invalid");
        assert_eq!(error("node.role==a,b"), "value 'a,b' is invalid");
    }
}
