//! The host's side of a cluster's network: a bridge, and a cable per node.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection};

use super::plan::{NodePlan, PREFIX, Plan};

/// `ENODEV`.
const NO_SUCH_DEVICE: i32 = 19;

/// Netlink in the network namespace of the calling thread.
pub(super) struct Links {
    handle: Handle,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Links {
    /// Opens the socket.
    pub(super) fn open() -> Result<Self> {
        let (connection, handle, _) = new_connection().context("cannot open a netlink socket")?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Makes the cluster's bridge with the host's address on it.
    pub(super) async fn add_bridge(&self, plan: &Plan) -> Result<()> {
        let bridge = plan.bridge();
        self.handle
            .link()
            .add(LinkBridge::new(&bridge).up().build())
            .execute()
            .await
            .with_context(|| format!("cannot create bridge {bridge}"))?;
        self.add_address(&bridge, plan.gateway()).await
    }

    /// Lays the cable of a node whose init is process `init`; one that is
    /// there from an earlier boot is replaced.
    pub(super) async fn add_cable(&self, plan: &Plan, node: &NodePlan, init: u32) -> Result<()> {
        self.remove(&node.link).await?;
        let bridge = self.index(&plan.bridge()).await?.with_context(|| {
            format!("bridge {} is gone; remove and create the cluster again", plan.bridge())
        })?;
        let laying = || format!("cannot lay the cable of node {}", node.name);
        let veth = LinkVeth::new(&node.link, &node.peer).controller(bridge).up().build();
        self.handle.link().add(veth).execute().await.with_context(laying)?;
        let peer = LinkUnspec::new_with_name(&node.peer).setns_by_pid(init).build();
        self.handle.link().set(peer).execute().await.with_context(laying)
    }

    /// Removes a link; one that is not there is no error.
    pub(super) async fn remove(&self, link: &str) -> Result<()> {
        if let Some(index) = self.index(link).await? {
            let removing = self.handle.link().del(index).execute().await;
            // A cable also goes with its node's namespace, at any moment.
            if let Err(error) = removing
                && self.index(link).await?.is_some()
            {
                return Err(error).with_context(|| format!("cannot remove link {link}"));
            }
        }
        Ok(())
    }

    /// Within a node: its end of the cable becomes `eth0` with `address` and
    /// a default route through `gateway`; the loopback comes up.
    pub(super) async fn configure_node(
        &self,
        peer: &str,
        address: Ipv4Addr,
        gateway: Ipv4Addr,
    ) -> Result<()> {
        let index = self.index(peer).await?.with_context(|| format!("link {peer} is missing"))?;
        let eth0 = LinkUnspec::new_with_index(index).name("eth0").up().build();
        self.handle.link().set(eth0).execute().await.context("cannot name eth0")?;
        let lo = LinkUnspec::new_with_name("lo").up().build();
        self.handle.link().set(lo).execute().await.context("cannot bring lo up")?;
        self.add_address("eth0", address).await?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        self.handle.route().add(route).execute().await.context("cannot add the default route")
    }

    /// Third parts of 10.89.x.y addresses on this host.
    pub(super) async fn taken(&self) -> Result<Vec<u8>> {
        let mut taken = Vec::new();
        let mut addresses = self.handle.address().get().execute();
        while let Some(message) = addresses.try_next().await.context("cannot list addresses")? {
            for attribute in message.attributes {
                if let rtnetlink::packet_route::address::AddressAttribute::Address(IpAddr::V4(ip)) =
                    attribute
                    && let [10, 89, third, _] = ip.octets()
                {
                    taken.push(third);
                }
            }
        }
        Ok(taken)
    }

    async fn add_address(&self, link: &str, address: Ipv4Addr) -> Result<()> {
        let index = self.index(link).await?.with_context(|| format!("link {link} is missing"))?;
        self.handle
            .address()
            .add(index, IpAddr::V4(address), PREFIX)
            .execute()
            .await
            .with_context(|| format!("cannot give {link} address {address}"))
    }

    async fn index(&self, link: &str) -> Result<Option<u32>> {
        let mut found = self.handle.link().get().match_name(link).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.map(|m| m.header.index)),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -NO_SUCH_DEVICE => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot look up link {link}")),
        }
    }
}
