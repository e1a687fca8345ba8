//! What a daemon finds again.

use std::{net::Ipv4Addr, os::fd::AsFd};

use super::harness::*;
use crate::NetworkConfig;
use shoal_model::Classify as _;

#[test]
fn running_containers_are_found_again() {
    let config = NetworkConfig { pool_size: 3, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("web", |request| request.ipam = subnet("10.7.0.0/24")).await;
        let a = node.container("a1", &["bridge"], &[publish(8003)]).await;
        let b = node.container("b1", &["web"], &[publish(8004)]).await;
        let c = node.container("c1", &["web"], &[]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        let _b = Server::start(b.namespace.as_fd(), 80);
        let before = node.networks.inspect("web").unwrap();
        let bridge = node.networks.inspect("bridge").unwrap().network;

        node.restart(&[&a, &b, &c]).await;

        assert_eq!(node.networks.inspect("bridge").unwrap().network, bridge);
        let after = node.networks.inspect("web").unwrap();
        assert_eq!((&after.network, &after.endpoints), (&before.network, &before.endpoints));
        for port in [8003, 8004] {
            ask(Some(node.neighbour.as_fd()), (NODE, port));
            std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap_err();
        }
        assert_eq!(super::names::lookup(&c, "b1"), [b.ip()]);
        // No address is given twice.
        for n in 0..5 {
            let other = node.container(&format!("n{n}"), &["bridge"], &[]).await;
            assert_ne!(other.ip(), a.ip());
        }
        let error = node.networks.remove("web").await.unwrap_err();
        assert!(error.to_string().contains("has active endpoints"), "{error}");
        node.networks.release(&a.id).await.unwrap();
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        ask(Some(node.neighbour.as_fd()), (NODE, 8004));
    });
}

#[test]
fn a_port_that_cannot_be_had_again_costs_only_itself() {
    on_a_node(async |node| {
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["bridge"], &[publish(8003)]).await;
        let mut b = node.container("b1", &["web"], &[publish(8004)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        let _b = Server::start(b.namespace.as_fd(), 80);
        let endpoints = b.state.endpoints.clone();
        // As if it had been given to another container meanwhile.
        b.state.ports.insert(0, a.state.ports[0]);

        let adopted = node.restart_with(&[&a, &b]).await;
        let error = adopted[1].as_ref().unwrap_err().chain();
        assert!(error.ends_with("Bind for 0.0.0.0:8003 failed: port is already allocated"));
        adopted[0].as_ref().unwrap();
        let state = node.networks.state(&b.id).unwrap();
        assert_eq!((&state.endpoints, state.ports.len()), (&endpoints, 1));
        let neighbour = Some(node.neighbour.as_fd());
        assert_eq!(ask(neighbour, (NODE, 8003)), NEIGHBOUR.to_string());
        ask(neighbour, (NODE, 8004));
        assert_eq!(super::names::lookup(&b, "b1"), [b.ip()]);
        assert!(output("ip", &["-o", "link"]).contains(&endpoints[0].host_link));
        node.networks.release(&b.id).await.unwrap();
        assert_closed(neighbour, (NODE, 8004));
        ask(neighbour, (NODE, 8003));
    });
}

#[test]
fn an_adoption_that_fails_keeps_the_address() {
    on_a_node(async |node| {
        let mut web = node.container("web", &["bridge"], &[publish(8003)]).await;
        let _web = Server::start(web.namespace.as_fd(), 80);
        let saved = web.state.clone();
        // A network that is lost is left out.
        let mut lost = web.state.endpoints[0].clone();
        lost.network = shoal_model::NetworkId::from_bytes([9; 32]);
        lost.network_name = "lost".into();
        web.state.endpoints.push(lost);
        let adopted = node.restart_with(&[&web]).await;
        assert_eq!(adopted[0].as_ref().unwrap_err().to_string(), "network lost not found");
        assert_eq!(node.networks.state(&web.id).unwrap(), saved);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));

        // Nobody knows the process: the container may still run.
        node.networks.close().await;
        let opened = crate::Networks::open(node.root(), NetworkConfig::default()).await.unwrap();
        opened.adopt(&web.id, u32::MAX, saved.clone()).await.unwrap_err();
        opened.warm().await.unwrap();
        assert_eq!(opened.state(&web.id).unwrap(), saved);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        opened.release(&web.id).await.unwrap();
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        opened.close().await;
    });
}

#[test]
fn ports_stay_open_while_nobody_serves() {
    on_a_node(async |node| {
        let a = node.container("a1", &["bridge"], &[publish(8003)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        node.networks.close().await;
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        let opened = crate::Networks::open(node.root(), NetworkConfig::default()).await.unwrap();
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        // Not adopted: once the daemon knows who runs, the port is closed.
        opened.warm().await.unwrap();
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        opened.close().await;
    });
}

#[test]
fn after_a_reboot_everything_is_made_again() {
    on_a_node(async |node| {
        node.network("web", |_| ()).await;
        let link = format!("br-{}", node.networks.inspect("web").unwrap().network.id.short());
        node.networks.close().await;
        for link in [&link, "shoal0"] {
            output("ip", &["link", "delete", link]);
        }
        output("nft", &["flush", "ruleset"]);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        node.restart(&[]).await;
        let a = node.container("a1", &["web"], &[publish(8003)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
    });
}

#[test]
fn the_default_bridge_follows_its_configuration() {
    on_a_node(async |node| {
        let id = node.networks.inspect("bridge").unwrap().network.id.clone();
        node.networks.close().await;
        let config = NetworkConfig {
            default_bridge: "other0".into(),
            default_subnet: Some(([10, 3, 0, 1].into(), "10.3.0.0/24".parse().unwrap())),
            pool_size: 0,
            ..NetworkConfig::default()
        };
        let opened = crate::Networks::open(node.root(), config).await.unwrap();
        assert_eq!(opened.host_gateway(), Ipv4Addr::new(10, 3, 0, 1));
        assert_eq!(opened.inspect("bridge").unwrap().network.id, id);
        let links = output("ip", &["-o", "link"]);
        assert!(links.contains("other0") && !links.contains("shoal0"), "{links}");
        opened.close().await;
    });
}

#[test]
fn a_file_of_another_version_is_refused() {
    on_a_node(async |node| {
        let path = node.root().join("networks.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert_ne!(newer, text);
        std::fs::write(&path, newer).unwrap();
        let error = crate::Networks::open(node.root(), NetworkConfig::default()).await.unwrap_err();
        assert!(error.to_string().starts_with("read stored networks from "), "{error}");
    });
}
