//! Who may not talk to whom.

use std::{net::Ipv4Addr, os::fd::AsFd};

use super::harness::*;
use crate::{NetworkConfig, Networks};

#[test]
fn containers_of_one_bridge_talk_and_reach_the_world() {
    for filtered in [false, true] {
        containers_talk(filtered);
    }
}

fn containers_talk(filtered: bool) {
    on_a_node(async |node| {
        filter_bridges(filtered);
        let a = node.container("a", &["bridge"], &[]).await;
        let b = node.container("b", &["bridge"], &[]).await;
        let _b = Server::start(b.namespace.as_fd(), 80);
        let _world = Server::start(node.neighbour.as_fd(), 80);
        assert_eq!(ask(Some(a.namespace.as_fd()), (b.ip(), 80)), a.ip().to_string());
        // The world sees the node.
        assert_eq!(ask(Some(a.namespace.as_fd()), (NEIGHBOUR, 80)), NODE.to_string());
    });
}

#[test]
fn bridges_are_apart_in_both_directions() {
    on_a_node(async |node| {
        node.network("left", |_| ()).await;
        node.network("right", |_| ()).await;
        let left = node.container("l", &["left"], &[]).await;
        let right = node.container("r", &["right"], &[]).await;
        let both = node.container("both", &["left", "right"], &[]).await;
        let _left = Server::start(left.namespace.as_fd(), 80);
        let _right = Server::start(right.namespace.as_fd(), 80);
        for (from, to) in [(&left, &right), (&right, &left)] {
            ask(Some(from.namespace.as_fd()), (from.ip(), 80));
            assert_closed(Some(from.namespace.as_fd()), (to.ip(), 80));
            ask(Some(both.namespace.as_fd()), (to.ip(), 80));
        }
    });
}

#[test]
fn internal_networks_have_no_way_out_and_no_way_in() {
    on_a_node(async |node| {
        node.network("inner", |request| request.internal = true).await;
        let a = node.container("a", &["inner"], &[publish(8003)]).await;
        let b = node.container("b", &["inner"], &[]).await;
        let outer = node.container("outer", &["bridge"], &[publish(8004)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        let _outer = Server::start(outer.namespace.as_fd(), 80);
        let _world = Server::start(node.neighbour.as_fd(), 80);
        ask(Some(b.namespace.as_fd()), (a.ip(), 80));
        ask(Some(outer.namespace.as_fd()), (NEIGHBOUR, 80));
        // As in Docker, its ports are not published.
        assert!(a.state.ports.is_empty());
        assert_eq!(a.state.endpoints[0].gateway, None);
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        // Not even for those who find the way by themselves.
        let gateway = node.networks.inspect("inner").unwrap().network.ipam.pools[0].gateway;
        for container in [&a, &b] {
            shoal_sys::netns::enter(container.namespace.as_fd(), || {
                output("ip", &["route", "add", "default", "via", &gateway.to_string()]);
            })
            .unwrap();
        }
        assert_closed(Some(b.namespace.as_fd()), (NEIGHBOUR, 80));
        assert_closed(Some(b.namespace.as_fd()), (outer.ip(), 80));
        assert_closed(Some(b.namespace.as_fd()), (NODE, 8004));
        assert_closed(Some(node.neighbour.as_fd()), (a.ip(), 80));
        assert_closed(Some(outer.namespace.as_fd()), (a.ip(), 80));
    });
}

#[test]
fn without_icc_containers_only_meet_at_published_ports() {
    for filtered in [false, true] {
        containers_meet_at_published_ports(filtered);
    }
}

fn containers_meet_at_published_ports(filtered: bool) {
    on_a_node(async |node| {
        filter_bridges(filtered);
        let off = option("com.docker.network.bridge.enable_icc", "false");
        node.network("apart", |request| request.options = off).await;
        let a = node.container("a", &["apart"], &[publish(8003)]).await;
        let b = node.container("b", &["apart"], &[]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        let _world = Server::start(node.neighbour.as_fd(), 80);
        ask(Some(b.namespace.as_fd()), (NEIGHBOUR, 80));
        ask(Some(b.namespace.as_fd()), (NODE, 8003));
        assert_closed(Some(b.namespace.as_fd()), (a.ip(), 80));
    });
}

#[test]
fn a_node_that_was_no_router_forwards_for_nobody_else() {
    on_a_node(async |node| {
        let third = wire("uplink2", [10, 98, 0, 1].into(), THIRD);
        let _third = Server::start(third.as_fd(), 80);
        ask(None, (THIRD, 80));
        assert_closed(Some(node.neighbour.as_fd()), (THIRD, 80));
        // Behind the bridge of another engine it is that one's affair.
        output("ip", &["address", "del", "10.98.0.1/24", "dev", "uplink2"]);
        output("ip", &["link", "add", "other0", "type", "bridge"]);
        output("ip", &["link", "set", "uplink2", "master", "other0"]);
        output("ip", &["address", "add", "10.98.0.1/24", "dev", "other0"]);
        output("ip", &["link", "set", "other0", "up"]);
        ask(Some(node.neighbour.as_fd()), (THIRD, 80));
    });
}

#[test]
fn a_start_that_fails_makes_no_router() {
    on_a_node(async |_| {
        const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
        std::fs::write(FORWARD, "0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config =
            |nft: &str| NetworkConfig { pool_size: 0, nft: nft.into(), ..NetworkConfig::default() };
        let broken = Networks::open(directory.path(), config("/bin/false")).await.unwrap();
        broken.warm().await.unwrap_err();
        broken.close().await;
        assert_eq!(std::fs::read_to_string(FORWARD).unwrap(), "0\n");

        let nft = NetworkConfig::default().nft;
        let networks =
            Networks::open(directory.path(), config(nft.to_str().unwrap())).await.unwrap();
        networks.warm().await.unwrap();
        networks.close().await;
        assert_eq!(std::fs::read_to_string(FORWARD).unwrap(), "1\n");
        assert!(output("nft", &["list", "table", "ip", "shoal"]).contains("\t\tdrop\n"));
    });
}

#[test]
fn a_router_stays_one() {
    on_a_router(async |node| {
        let third = wire("uplink2", [10, 98, 0, 1].into(), THIRD);
        let _third = Server::start(third.as_fd(), 80);
        ask(Some(node.neighbour.as_fd()), (THIRD, 80));
        node.restart(&[]).await;
        ask(Some(node.neighbour.as_fd()), (THIRD, 80));
    });
}

/// A third host, behind the node.
const THIRD: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);
