//! Drivers.

use std::collections::BTreeMap;

use super::super::wire::wire;

wire!(
    /// A driver by name: of a volume that is made for a mount, of logs.
    DriverDocument { name: String = "Name", options: BTreeMap<String, String> = "Options" }
);
