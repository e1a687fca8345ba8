//! Bytes from outside may be anything; nothing here may panic, hang or be believed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use proptest::prelude::*;
use prost::Message;
use shoal_model::Timestamp;
use shoal_model::swarm::NodeRole;
use shoal_node::convert;
use shoal_node::pki::{Identity, PeerName, PendingKey, RootCa};
use shoal_node::wire;
use std::time::Duration;

/// Reads bytes as every message a peer can send.
fn read_all(bytes: &[u8]) {
    let _ = wire::SessionRequest::decode(bytes)
        .map(|request| request.description.map(convert::description_from_wire));
    if let Ok(update) = wire::UpdateTaskStatusRequest::decode(bytes) {
        for update in update.updates {
            let _ = convert::status_from_wire(update.status.unwrap_or_default());
        }
    }
    if let Ok(message) = wire::AssignmentsMessage::decode(bytes) {
        for change in message.changes {
            match change.assignment.and_then(|assignment| assignment.item) {
                Some(wire::assignment::Item::Task(task)) => drop(convert::task_from_wire(*task)),
                Some(wire::assignment::Item::Secret(secret)) => {
                    drop(convert::secret_from_wire(secret));
                }
                Some(wire::assignment::Item::Config(config)) => {
                    drop(convert::config_from_wire(config));
                }
                Some(wire::assignment::Item::Volume(_)) | None => {}
            }
        }
    }
    let _ = wire::SessionMessage::decode(bytes);
    let _ = wire::SubscriptionMessage::decode(bytes);
    let _ = wire::PublishLogsMessage::decode(bytes);
    let _ = wire::IssueNodeCertificateRequest::decode(bytes);
    let _ = wire::NodeCertificateStatusResponse::decode(bytes);
}

/// A message with something in most of its places.
fn assignments() -> Vec<u8> {
    let container = wire::ContainerSpec {
        image: "busybox".to_owned(),
        mounts: vec![wire::Mount { target: "/x".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let task = wire::Task {
        id: "t".repeat(25),
        service_id: "s".repeat(25),
        spec: Some(wire::TaskSpec {
            runtime: Some(wire::task_spec::Runtime::Container(Box::new(container))),
            ..Default::default()
        }),
        status: Some(wire::TaskStatus::default()),
        networks: vec![wire::NetworkAttachment::default()],
        ..Default::default()
    };
    let item = wire::assignment::Item::Task(Box::new(task));
    let change = wire::AssignmentChange {
        assignment: Some(wire::Assignment { item: Some(item) }),
        action: 0,
    };
    wire::AssignmentsMessage { changes: vec![change], ..Default::default() }.encode_to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all(&bytes);
        prop_assert!(RootCa::from_pem(&bytes, None).is_err());
        prop_assert!(Identity::from_pem(&bytes, &bytes).is_err());
    }

    #[test]
    fn damaged_messages_do_no_harm(place in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = assignments();
        let place = place.index(bytes.len());
        bytes[place] = value;
        read_all(&bytes);
    }

    /// A request is signed: whatever was changed, nobody gets a certificate for another key.
    #[test]
    fn damaged_certificate_requests_do_no_harm(place in any::<prop::sample::Index>(), value in any::<u8>()) {
        let now = Timestamp::from_seconds(1_700_000_000);
        let root = RootCa::generate(now).unwrap();
        let pending = PendingKey::generate().unwrap();
        let mut csr = pending.csr_pem().to_vec();
        let place = place.index(csr.len());
        csr[place] = value;
        let name = PeerName {
            cluster: "c".repeat(25),
            role: NodeRole::Worker,
            node: "n".repeat(25),
        };
        if let Ok(certificate) = root.issue(&csr, &name, now, Duration::from_secs(60)) {
            let identity = pending.complete(&certificate).unwrap();
            prop_assert_eq!(identity.name(), &name);
        }
    }
}
