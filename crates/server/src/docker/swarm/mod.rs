//! `/swarm`.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use shoal_cluster::commands::check_new_cluster;
use shoal_cluster::{ApplyError, Command, CommandError, Outcome};
use shoal_model::Classify;
use shoal_model::swarm::{DEFAULT_CLUSTER_NAME, Version};
use shoal_node::raft::RaftError;
use shoal_node::{Control, InitRequest, JoinRequest, NodeError};

use super::body::{self, JsonBody};
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::query::Query;
use super::swarm_spec::cluster::{ClusterDocument, render_cluster};
use super::swarm_spec::node::read_availability;
use super::wire::wire;

/// The routes of the swarm itself.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/swarm", get(inspect))
        .route("/swarm/init", post(init))
        .route("/swarm/join", post(join))
        .route("/swarm/leave", post(leave))
        .route("/swarm/update", post(update))
        .route("/swarm/unlockkey", get(unlock_key))
        .route("/swarm/unlock", post(unlock))
}

wire!(
    /// `POST /swarm/init`.
    InitDocument {
        listen_addr: String = "ListenAddr",
        advertise_addr: String = "AdvertiseAddr",
        data_path_addr: String = "DataPathAddr",
        data_path_port: u64 = "DataPathPort",
        default_addr_pool: Vec<String> = "DefaultAddrPool",
        subnet_size: u64 = "SubnetSize",
        force_new_cluster: bool = "ForceNewCluster",
        auto_lock: bool = "AutoLockManagers",
        availability: String = "Availability",
        spec: ClusterDocument = "Spec",
    }
);

wire!(
    /// `POST /swarm/join`.
    JoinDocument {
        listen_addr: String = "ListenAddr",
        advertise_addr: String = "AdvertiseAddr",
        data_path_addr: String = "DataPathAddr",
        remote_addrs: Vec<String> = "RemoteAddrs",
        token: String = "JoinToken",
        availability: String = "Availability",
    }
);

async fn init(State(front): App, body: JsonBody) -> Result<Response> {
    let document: InitDocument = body::document(body).await?;
    let node = front.node.init(document.into_domain()?).await?;
    Ok(body::ok(&json!(node.as_str())))
}

impl InitDocument {
    fn into_domain(self) -> Result<InitRequest> {
        // The size of the pool's pieces means nothing without the pool.
        let _ = self.subnet_size;
        for (set, name) in [
            (!self.data_path_addr.is_empty(), "DataPathAddr (--data-path-addr)"),
            (self.data_path_port != 0, "DataPathPort (--data-path-port)"),
            (!self.default_addr_pool.is_empty(), "DefaultAddrPool (--default-addr-pool)"),
            (self.auto_lock, "AutoLockManagers (--autolock)"),
        ] {
            if set {
                return Err(ApiError::unsupported(name));
            }
        }
        let spec = self.spec.into_domain()?;
        if spec.annotations.name != DEFAULT_CLUSTER_NAME {
            return Err(ApiError::invalid(r#"swarm spec must be named "default""#));
        }
        check_new_cluster(&spec).map_err(NodeError::from)?;
        Ok(InitRequest {
            listen_addr: self.listen_addr,
            advertise_addr: self.advertise_addr,
            spec,
            availability: read_availability(&self.availability)?,
            force_new_cluster: self.force_new_cluster,
        })
    }
}

async fn join(State(front): App, body: JsonBody) -> Result<Response> {
    let document: JoinDocument = body::document(body).await?;
    if !document.data_path_addr.is_empty() {
        return Err(ApiError::unsupported("DataPathAddr (--data-path-addr)"));
    }
    let request = JoinRequest {
        listen_addr: document.listen_addr,
        advertise_addr: document.advertise_addr,
        remote_addrs: document.remote_addrs,
        token: document.token,
        availability: read_availability(&document.availability)?,
    };
    front.node.join(request).await?;
    Ok(body::empty())
}

async fn leave(State(front): App, query: Query) -> Result<Response> {
    front.node.leave(query.flag("force")).await?;
    Ok(body::empty())
}

async fn inspect(State(front): App) -> Result<Response> {
    let control = front.node.control()?;
    let cluster = control.read(|store| store.cluster().cloned()).await?;
    let cluster = cluster.ok_or_else(|| {
        ApiError::new(shoal_model::Kind::Unavailable, "the cluster has no settings yet")
    })?;
    let mut document = render_cluster(&cluster);
    let tokens = &cluster.root_ca.join_tokens;
    document["JoinTokens"] = json!({ "Worker": tokens.worker, "Manager": tokens.manager });
    Ok(body::ok(&document))
}

async fn update(State(front): App, query: Query, body: JsonBody) -> Result<Response> {
    let document: ClusterDocument = body::document(body).await?;
    query.refuse(&["rotateManagerUnlockKey"])?;
    let control = front.node.control()?;
    let command = Command::UpdateCluster {
        version: read_version(&query, "swarm")?,
        spec: Box::new(document.into_domain()?),
        new_worker_token: new_token(&control, query.flag("rotateWorkerToken")).await?,
        new_manager_token: new_token(&control, query.flag("rotateManagerToken")).await?,
    };
    execute(&control, command).await?;
    Ok(body::empty())
}

async fn new_token(control: &Control, wanted: bool) -> Result<Option<String>> {
    match wanted {
        true => Ok(Some(control.new_join_token().await?)),
        false => Ok(None),
    }
}

/// Has the swarm carry a command out.
///
/// # Errors
/// The swarm's refusal in Docker's words.
pub(super) async fn execute(control: &Control, command: Command) -> Result<Outcome> {
    control.execute(command).await.map_err(refusal)
}

/// What was refused while it was applied is told like what was refused before.
fn refusal(error: NodeError) -> ApiError {
    let stale = CommandError::from(ApplyError::OutOfSequence);
    match error {
        NodeError::Raft(RaftError::Refused(why)) if why == stale.to_string() => {
            ApiError::new(stale.kind(), stale.docker_text())
        }
        other => other.into(),
    }
}

/// The version of an object that an update was made from.
///
/// # Errors
/// `Invalid` when it is missing or no number.
pub(super) fn read_version(query: &Query, what: &str) -> Result<Version> {
    let text = query.get("version").unwrap_or_default();
    let version =
        text.parse().map_err(|_| ApiError::invalid(format!("invalid {what} version '{text}'")))?;
    Ok(Version(version))
}

/// Managers are never locked here, so there is no key.
async fn unlock_key(State(front): App) -> Result<Response> {
    front.node.control()?;
    Ok(body::ok(&json!({ "UnlockKey": "" })))
}

async fn unlock() -> Result<Response> {
    Err(ApiError::new(shoal_model::Kind::Conflict, "swarm is not locked"))
}

#[cfg(test)]
mod tests {
    use super::super::wire::{At, Wire};
    use super::*;

    #[test]
    fn settings_no_update_would_take_make_no_swarm() {
        let init = |spec: serde_json::Value| {
            let document = InitDocument::read(json!({ "Spec": spec }), &At::ROOT).expect("read");
            document.into_domain().map(|_| ()).map_err(|error| error.message().to_owned())
        };
        assert_eq!(init(json!({})), Ok(()));
        assert_eq!(
            init(json!({ "CAConfig": { "NodeCertExpiry": 3_600_000_000_000_u64 } })),
            Ok(())
        );
        let short = init(json!({ "CAConfig": { "NodeCertExpiry": 60_000_000_000_u64 } }));
        let begin = "rpc error: code = InvalidArgument desc = ";
        assert_eq!(short, Err(format!("{begin}minimum certificate expiry time is: 1h0m0s")));
        let ticks = init(json!({ "Raft": { "ElectionTick": 1, "HeartbeatTick": 1 } }));
        let why = "election tick must be greater than heartbeat tick";
        assert_eq!(ticks, Err(format!("{begin}{why}")));
        let named = init(json!({ "Name": "mine" }));
        assert_eq!(named, Err(r#"swarm spec must be named "default""#.to_owned()));
    }

    #[test]
    fn a_stale_version_is_told_as_docker_does() {
        let refused = RaftError::Refused(ApplyError::OutOfSequence.to_string());
        let error = refusal(NodeError::Raft(refused));
        assert_eq!(error.message(), "rpc error: code = Unknown desc = update out of sequence");
        let other = refusal(NodeError::Raft(RaftError::Refused("service x exists".into())));
        assert_eq!(other.message(), "cluster state: service x exists");
    }
}
