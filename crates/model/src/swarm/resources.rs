//! Processor, memory and what else a task may be given.

use serde::{Deserialize, Serialize};

/// An amount of processor and memory: what a node has, or a task reserves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time in billionths of a core.
    pub nano_cpus: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Things only the user knows the meaning of (`gpu=2`).
    pub generic: Vec<GenericResource>,
}

/// A thing only the user knows the meaning of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GenericResource {
    /// One of a kind, by name.
    Named {
        /// The sort of thing.
        kind: String,
        /// Which one.
        value: String,
    },
    /// So many of a kind.
    Discrete {
        /// The sort of thing.
        kind: String,
        /// How many.
        value: i64,
    },
}

/// What a task may use at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Processor time in billionths of a core; 0: no limit.
    pub nano_cpus: i64,
    /// Memory in bytes; 0: no limit.
    pub memory_bytes: i64,
    /// Processes; 0: no limit.
    pub pids: i64,
}

/// What a task may use at most, and what is kept free for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceRequirements {
    /// At most.
    pub limits: Option<ResourceLimits>,
    /// Kept free on its node; the scheduler's measure.
    pub reservations: Option<Resources>,
}
