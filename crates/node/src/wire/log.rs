//! Logs of tasks on their way to whoever asked: service `LogBroker`.

use super::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ListenSubscriptionsRequest {}

/// Selector and options must always be set: a Docker worker dereferences both.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SubscriptionMessage {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub selector: Option<LogSelector>,
    #[prost(message, optional, tag = "3")]
    pub options: Option<LogSubscriptionOptions>,
    #[prost(bool, tag = "4")]
    pub close: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogSelector {
    #[prost(string, repeated, tag = "1")]
    pub service_ids: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub node_ids: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub task_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogSubscriptionOptions {
    /// Empty: all streams.
    #[prost(enumeration = "LogStream", repeated, tag = "1")]
    pub streams: Vec<i32>,
    #[prost(bool, tag = "2")]
    pub follow: bool,
    /// 0: all lines; −1: none; −(n+1): the last n. Positive values are errors.
    #[prost(int64, tag = "3")]
    pub tail: i64,
    #[prost(message, optional, tag = "4")]
    pub since: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogContext {
    #[prost(string, tag = "1")]
    pub service_id: String,
    #[prost(string, tag = "2")]
    pub node_id: String,
    #[prost(string, tag = "3")]
    pub task_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogAttr {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogMessage {
    #[prost(message, optional, tag = "1")]
    pub context: Option<LogContext>,
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    #[prost(enumeration = "LogStream", tag = "3")]
    pub stream: i32,
    #[prost(bytes = "bytes", tag = "4")]
    pub data: bytes::Bytes,
    #[prost(message, repeated, tag = "5")]
    pub attrs: Vec<LogAttr>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PublishLogsMessage {
    #[prost(string, tag = "1")]
    pub subscription_id: String,
    #[prost(message, repeated, tag = "2")]
    pub messages: Vec<LogMessage>,
    #[prost(bool, tag = "3")]
    pub close: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct PublishLogsResponse {}

enumerations! {
    LogStream { Unknown = 0, Stdout = 1, Stderr = 2 }
}
