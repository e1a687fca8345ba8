//! The few messages of `google.protobuf` the protocol uses, and SwarmKit's own small ones.

use std::collections::HashMap;

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.BoolValue`: a bool that can be absent.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BoolValue {
    #[prost(bool, tag = "1")]
    pub value: bool,
}

/// `google.protobuf.Any`, kept as it came.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Version {
    #[prost(uint64, tag = "1")]
    pub index: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Meta {
    #[prost(message, optional, tag = "1")]
    pub version: Option<Version>,
    #[prost(message, optional, tag = "2")]
    pub created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub updated_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Annotations {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(message, repeated, tag = "4")]
    pub indices: Vec<IndexEntry>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct IndexEntry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub val: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Driver {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(map = "string, string", tag = "2")]
    pub options: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Resources {
    #[prost(int64, tag = "1")]
    pub nano_cpus: i64,
    #[prost(int64, tag = "2")]
    pub memory_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    pub generic: Vec<GenericResource>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GenericResource {
    #[prost(oneof = "generic_resource::Resource", tags = "1, 2")]
    pub resource: Option<generic_resource::Resource>,
}

pub mod generic_resource {
    /// Either a named one ("GPU" = "uuid-1") or a count.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Resource {
        #[prost(message, tag = "1")]
        Named(super::NamedGenericResource),
        #[prost(message, tag = "2")]
        Discrete(super::DiscreteGenericResource),
    }
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NamedGenericResource {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DiscreteGenericResource {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(int64, tag = "2")]
    pub value: i64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Platform {
    #[prost(string, tag = "1")]
    pub architecture: String,
    #[prost(string, tag = "2")]
    pub os: String,
}
