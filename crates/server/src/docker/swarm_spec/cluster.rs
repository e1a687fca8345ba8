//! The settings of the swarm itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_model::Classify as _;
use shoal_model::swarm::{
    Annotations, CaConfig, Cluster, ClusterSpec, DEFAULT_CLUSTER_NAME, DispatcherConfig,
    EncryptionConfig, OrchestrationConfig, RaftConfig, TaskDefaults, TlsDescription,
};
use shoal_node::pki::{IssuerInfo, RootCa};

use super::super::documents::DriverDocument;
use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::node::render_tls;
use super::{duration, nanos, read_driver, render_driver, render_meta, set};

wire!(
    /// `Spec` of `/swarm/init`, body of `/swarm/update`.
    ClusterDocument {
        name: String = "Name",
        labels: BTreeMap<String, String> = "Labels",
        orchestration: OrchestrationDocument = "Orchestration",
        raft: RaftDocument = "Raft",
        dispatcher: DispatcherDocument = "Dispatcher",
        ca: CaDocument = "CAConfig",
        task_defaults: TaskDefaultsDocument = "TaskDefaults",
        encryption: EncryptionDocument = "EncryptionConfig",
    }
);

wire!(
    /// How tasks are kept.
    OrchestrationDocument { history: Option<i64> = "TaskHistoryRetentionLimit" }
);

wire!(
    /// The consensus log.
    RaftDocument {
        snapshot_interval: u64 = "SnapshotInterval",
        keep_old_snapshots: Option<u64> = "KeepOldSnapshots",
        slow_followers: u64 = "LogEntriesForSlowFollowers",
        election_tick: u64 = "ElectionTick",
        heartbeat_tick: u64 = "HeartbeatTick",
    }
);

wire!(
    /// The talk with the workers.
    DispatcherDocument { heartbeat_period: i64 = "HeartbeatPeriod" }
);

wire!(
    /// Certificates. External authorities and own root keys are not declared:
    /// they are refused.
    CaDocument { expiry: i64 = "NodeCertExpiry", force_rotate: u64 = "ForceRotate" }
);

wire!(
    /// What tasks get when their spec is silent.
    TaskDefaultsDocument { log_driver: Option<DriverDocument> = "LogDriver" }
);

wire!(
    /// Encryption of the managers' state on disk.
    EncryptionDocument { auto_lock: bool = "AutoLockManagers" }
);

impl ClusterDocument {
    /// The settings this document asks for; zeros are the defaults.
    ///
    /// # Errors
    /// `Invalid` for values that make no sense, `NotImplemented` for what the
    /// cluster cannot do.
    pub(crate) fn into_domain(self) -> Result<ClusterSpec> {
        let Self { name, labels, orchestration, raft, dispatcher, ca, task_defaults, encryption } =
            self;
        if encryption.auto_lock {
            return Err(ApiError::unsupported("EncryptionConfig.AutoLockManagers (--autolock)"));
        }
        let defaults = ClusterSpec::default();
        let history = orchestration.history.unwrap_or(defaults.orchestration.task_history_limit);
        let name = if name.is_empty() { DEFAULT_CLUSTER_NAME.to_owned() } else { name };
        Ok(ClusterSpec {
            annotations: Annotations { name, labels },
            orchestration: OrchestrationConfig { task_history_limit: history },
            raft: raft.into_domain(&defaults.raft)?,
            dispatcher: DispatcherConfig {
                heartbeat_period: or(
                    duration(dispatcher.heartbeat_period, "the heartbeat period")?,
                    defaults.dispatcher.heartbeat_period,
                ),
            },
            ca: CaConfig {
                node_cert_expiry: or(
                    duration(ca.expiry, "the certificate expiry")?,
                    defaults.ca.node_cert_expiry,
                ),
                force_rotate: ca.force_rotate,
            },
            task_defaults: TaskDefaults { log_driver: task_defaults.log_driver.map(read_driver) },
            encryption: EncryptionConfig { auto_lock_managers: false },
        })
    }
}

impl RaftDocument {
    fn into_domain(self, defaults: &RaftConfig) -> Result<RaftConfig> {
        let Self {
            snapshot_interval,
            keep_old_snapshots,
            slow_followers,
            election_tick,
            heartbeat_tick,
        } = self;
        let tick = |tick: u64, name: &str| {
            u32::try_from(tick).map_err(|_| ApiError::invalid(format!("invalid {name}: {tick}")))
        };
        Ok(RaftConfig {
            snapshot_interval: or(snapshot_interval, defaults.snapshot_interval),
            keep_old_snapshots: keep_old_snapshots.unwrap_or(defaults.keep_old_snapshots),
            log_entries_for_slow_followers: or(
                slow_followers,
                defaults.log_entries_for_slow_followers,
            ),
            election_tick: or(tick(election_tick, "ElectionTick")?, defaults.election_tick),
            heartbeat_tick: or(tick(heartbeat_tick, "HeartbeatTick")?, defaults.heartbeat_tick),
        })
    }
}

fn or<T: Default + PartialEq>(value: T, default: T) -> T {
    if value == T::default() { default } else { value }
}

/// The cluster as Docker shows it, without its secrets.
pub(crate) fn render_cluster(cluster: &Cluster) -> Value {
    let mut document = render_meta(cluster.id.as_str(), &cluster.meta);
    document["Spec"] = render_spec(&cluster.spec);
    document["TLSInfo"] = render_tls(&describe_root(&cluster.root_ca.certificate_pem));
    document["RootRotationInProgress"] = json!(false);
    // As where nobody chose them: for an empty list the CLI would show an empty line.
    document["DefaultAddrPool"] = Value::Null;
    document["SubnetSize"] = json!(24);
    document["DataPathPort"] = json!(4789);
    document
}

/// The cluster's root certificate in the words its nodes have for theirs.
fn describe_root(pem: &str) -> TlsDescription {
    let issuer = RootCa::from_pem(pem.as_bytes(), None).and_then(|root| root.issuer_info());
    match issuer {
        Ok(IssuerInfo { trust_root, subject, public_key }) => {
            TlsDescription { trust_root, issuer_subject: subject, issuer_public_key: public_key }
        }
        // No cluster works with such a root; what there is is shown.
        Err(error) => {
            tracing::debug!(error = %error.chain(), "the cluster's root certificate cannot be read");
            TlsDescription { trust_root: pem.as_bytes().to_vec(), ..TlsDescription::default() }
        }
    }
}

fn render_spec(spec: &ClusterSpec) -> Value {
    let ClusterSpec { annotations, orchestration, raft, dispatcher, ca, task_defaults, encryption } =
        spec;
    let mut defaults = json!({});
    set(&mut defaults, "LogDriver", task_defaults.log_driver.as_ref().map(render_driver));
    json!({
        "Name": annotations.name,
        "Labels": annotations.labels,
        "Orchestration": { "TaskHistoryRetentionLimit": orchestration.task_history_limit },
        "Raft": render_raft(raft),
        "Dispatcher": { "HeartbeatPeriod": nanos(dispatcher.heartbeat_period) },
        "CAConfig": { "NodeCertExpiry": nanos(ca.node_cert_expiry), "ForceRotate": ca.force_rotate },
        "TaskDefaults": defaults,
        "EncryptionConfig": { "AutoLockManagers": encryption.auto_lock_managers },
    })
}

fn render_raft(raft: &RaftConfig) -> Value {
    let RaftConfig {
        snapshot_interval,
        keep_old_snapshots,
        log_entries_for_slow_followers,
        heartbeat_tick,
        election_tick,
    } = raft;
    json!({
        "SnapshotInterval": snapshot_interval,
        "KeepOldSnapshots": keep_old_snapshots,
        "LogEntriesForSlowFollowers": log_entries_for_slow_followers,
        "ElectionTick": election_tick,
        "HeartbeatTick": heartbeat_tick,
    })
}

#[cfg(test)]
mod tests {
    use shoal_model::Timestamp;

    use super::*;

    #[test]
    fn a_node_of_the_cluster_has_its_root() {
        let root = RootCa::generate(Timestamp::from_seconds(1_700_000_000)).expect("a root");
        let pem = String::from_utf8(root.pem().to_vec()).expect("PEM is text");
        let IssuerInfo { trust_root, subject, public_key } = root.issuer_info().expect("an issuer");
        let of_node =
            TlsDescription { trust_root, issuer_subject: subject, issuer_public_key: public_key };
        let shown = render_tls(&describe_root(&pem));
        assert_eq!(shown, render_tls(&of_node));
        assert!(shown["CertIssuerSubject"].as_str().is_some_and(|subject| !subject.is_empty()));
    }
}
