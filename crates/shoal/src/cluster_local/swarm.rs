//! Joining a cluster's nodes to one swarm, through the API a user would use.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    plan::{NodePlan, Plan},
    state::Home,
};
use crate::client::{Address, Client, Query};

/// Docker's port for managers.
const PORT: u16 = 2377;

/// The first node becomes the manager, the others join as workers.
pub(super) async fn form(home: &Home, plan: &Plan) -> Result<()> {
    let Some((manager, workers)) = plan.nodes.split_first() else { return Ok(()) };
    let client = connect(home, plan, manager)?;
    let address = format!("{}:{PORT}", manager.address);
    let none = Query::default();
    let init = json!({ "ListenAddr": format!("0.0.0.0:{PORT}"), "AdvertiseAddr": address });
    client
        .post("/swarm/init", &none, &init)
        .await
        .with_context(|| format!("node {} did not start a swarm", manager.name))?;
    let swarm = client.get("/swarm", &none).await.context("cannot read the join token")?;
    let token = swarm["JoinTokens"]["Worker"].as_str().context("there is no join token")?;
    for worker in workers {
        let join = json!({
            "ListenAddr": format!("0.0.0.0:{PORT}"),
            "AdvertiseAddr": worker.address,
            "RemoteAddrs": [address],
            "JoinToken": token,
        });
        connect(home, plan, worker)?
            .post("/swarm/join", &none, &join)
            .await
            .with_context(|| format!("node {} did not join", worker.name))?;
    }
    Ok(())
}

fn connect(home: &Home, plan: &Plan, node: &NodePlan) -> Result<Client> {
    Ok(Client::new(Address::parse(&home.node(plan, node).docker_host(), None)?))
}
