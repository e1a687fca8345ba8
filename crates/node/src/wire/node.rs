//! Nodes: how one describes itself, what the manager wants of it.

use std::collections::HashMap;

use super::{Annotations, Certificate, Meta, NetworkAttachment, Platform, Resources};

#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub meta: Option<Meta>,
    #[prost(message, optional, tag = "3")]
    pub spec: Option<NodeSpec>,
    #[prost(message, optional, tag = "4")]
    pub description: Option<NodeDescription>,
    #[prost(message, optional, tag = "5")]
    pub status: Option<NodeStatus>,
    #[prost(message, optional, tag = "6")]
    pub manager_status: Option<ManagerStatus>,
    #[prost(message, optional, tag = "7")]
    pub attachment: Option<NetworkAttachment>,
    #[prost(message, optional, tag = "8")]
    pub certificate: Option<Certificate>,
    #[prost(enumeration = "NodeRole", tag = "9")]
    pub role: i32,
    #[prost(message, repeated, tag = "10")]
    pub attachments: Vec<NetworkAttachment>,
    #[prost(uint32, tag = "11")]
    pub vxlan_udp_port: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeSpec {
    #[prost(message, optional, tag = "1")]
    pub annotations: Option<Annotations>,
    #[prost(enumeration = "NodeRole", tag = "2")]
    pub desired_role: i32,
    #[prost(enumeration = "NodeMembership", tag = "3")]
    pub membership: i32,
    #[prost(enumeration = "NodeAvailability", tag = "4")]
    pub availability: i32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NodeStatus {
    #[prost(enumeration = "NodeState", tag = "1")]
    pub state: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(string, tag = "3")]
    pub addr: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ManagerStatus {
    #[prost(uint64, tag = "1")]
    pub raft_id: u64,
    #[prost(string, tag = "2")]
    pub addr: String,
    #[prost(bool, tag = "3")]
    pub leader: bool,
    #[prost(int32, tag = "4")]
    pub reachability: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeDescription {
    #[prost(string, tag = "1")]
    pub hostname: String,
    #[prost(message, optional, tag = "2")]
    pub platform: Option<Platform>,
    #[prost(message, optional, tag = "3")]
    pub resources: Option<Resources>,
    #[prost(message, optional, tag = "4")]
    pub engine: Option<EngineDescription>,
    #[prost(message, optional, tag = "5")]
    pub tls_info: Option<NodeTlsInfo>,
    #[prost(bool, tag = "6")]
    pub fips: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EngineDescription {
    #[prost(string, tag = "1")]
    pub engine_version: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(message, repeated, tag = "3")]
    pub plugins: Vec<PluginDescription>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PluginDescription {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub name: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NodeTlsInfo {
    #[prost(bytes = "vec", tag = "1")]
    pub trust_root: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub cert_issuer_subject: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub cert_issuer_public_key: Vec<u8>,
}

enumerations! {
    NodeRole { Worker = 0, Manager = 1 }
    NodeMembership { Pending = 0, Accepted = 1 }
    NodeAvailability { Active = 0, Pause = 1, Drain = 2 }
    NodeState { Unknown = 0, Down = 1, Ready = 2, Disconnected = 3 }
}
