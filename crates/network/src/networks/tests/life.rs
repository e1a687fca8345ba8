//! Networks come and go, containers join and leave.

use std::{net::Ipv4Addr, os::fd::AsFd};

use shoal_model::{Classify as _, Kind};

use super::harness::*;
use crate::{CreateNetwork, EndpointRequest, Netns, NetworkConfig, Networks, SandboxRequest};

fn links() -> String {
    output("ip", &["-o", "link"])
}

#[test]
fn the_predefined_networks() {
    on_a_node(async |node| {
        let views = node.networks.list();
        let shown: Vec<_> =
            views.iter().map(|v| (v.network.name.as_str(), v.network.driver.as_str())).collect();
        assert_eq!(shown, [("bridge", "bridge"), ("host", "host"), ("none", "null")]);
        assert_eq!(node.networks.host_gateway(), Ipv4Addr::new(172, 17, 0, 1));
        assert!(links().contains("shoal0"));
        for name in ["bridge", "host", "none"] {
            let error = node.networks.remove(name).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{name} is a pre-defined network and cannot be removed")
            );
            assert_eq!(error.kind(), Kind::Forbidden);
            let error = node.try_network(name, |_| ()).await.unwrap_err();
            let text = format!("operation is not permitted on predefined {name} network");
            assert_eq!(error.to_string(), text);
        }
    });
}

#[test]
fn names_are_taken_once_and_found_by_their_ids() {
    on_a_node(async |node| {
        node.network("web", |_| ()).await;
        let error = node.try_network("web", |_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "network with name web already exists");
        assert_eq!(error.kind(), Kind::Conflict);
        let view = node.networks.inspect("web").unwrap();
        assert_eq!(view.network.ipam.pools[0].subnet.to_string(), "172.18.0.0/16");
        let id = view.network.id.clone();
        for name in [id.as_str(), id.short(), &id.as_str()[..3]] {
            assert_eq!(node.networks.inspect(name).unwrap().network.name, "web");
        }
        for name in ["", "nope"] {
            let error = node.networks.inspect(name).unwrap_err();
            assert_eq!(error.to_string(), format!("network {name} not found"));
        }
        let bridge = format!("br-{}", id.short());
        assert!(links().contains(&bridge));
        node.networks.remove("web").await.unwrap();
        assert!(!links().contains(&bridge));
        node.network("web", |_| ()).await;
    });
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    on_a_node(async |node| {
        let not_supported = async |change: fn(&mut CreateNetwork), text: &str| {
            let error = node.try_network("x1", change).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{text} is not supported"));
            assert_eq!(error.kind(), Kind::NotImplemented);
        };
        not_supported(|r| r.driver = "macvlan".into(), "network driver macvlan").await;
        not_supported(|r| r.driver = "overlay".into(), "network driver overlay").await;
        not_supported(|r| r.enable_ipv6 = true, "IPv6 in a network").await;
        not_supported(|r| r.scope = "swarm".into(), "network scope swarm").await;
        not_supported(|r| r.options = option("x", "y"), "network driver option x").await;
        let error = node.try_network("x1", |r| r.driver = "host".into()).await.unwrap_err();
        assert_eq!(error.to_string(), "only one instance of \"host\" network is allowed");
        assert_eq!(node.networks.list().len(), 3);
    });
}

#[test]
fn a_network_with_containers_stays() {
    on_a_node(async |node| {
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["web"], &[]).await;
        let error = node.networks.remove("web").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "error while removing network: network web has active endpoints \
                 (name:\"a1\" id:\"{}\")",
                a.id.short()
            )
        );
        assert_eq!(error.kind(), Kind::Forbidden);
        let view = node.networks.inspect("web").unwrap();
        assert_eq!(view.endpoints.len(), 1);
        assert_eq!(view.endpoints[0].name, "a1");
        assert_eq!(view.endpoints[0].endpoint, a.state.endpoints[0]);
        node.networks.release(&a.id).await.unwrap();
        node.networks.remove("web").await.unwrap();
    });
}

#[test]
fn addresses_are_chosen_and_run_out() {
    on_a_node(async |node| {
        node.network("tiny", |request| request.ipam = subnet("10.7.0.0/29")).await;
        let with_ip = |name: &str, ip: [u8; 4]| {
            let mut asked = request(name, &["tiny"], &[]);
            asked.endpoints[0].ipv4 = Some(ip.into());
            asked
        };
        let chosen = node.try_container("c0", with_ip("c0", [10, 7, 0, 3])).await.unwrap();
        assert_eq!(chosen.ip(), Ipv4Addr::new(10, 7, 0, 3));
        assert_eq!(chosen.state.endpoints[0].mac.unwrap().to_string(), "02:42:0a:07:00:03");
        for (ip, text) in [
            ([10, 7, 0, 3], "Address already in use"),
            ([10, 7, 0, 1], "Address already in use"),
            ([10, 8, 0, 1], "no configured subnet contains IP address 10.8.0.1"),
        ] {
            let Err(error) = node.try_container("c9", with_ip("c9", ip)).await else { panic!() };
            assert_eq!(error.to_string(), text);
        }
        for name in ["c1", "c2", "c3", "c4"] {
            node.container(name, &["tiny"], &[]).await;
        }
        let Err(error) = node.try_container("c5", request("c5", &["bridge", "tiny"], &[])).await
        else {
            panic!()
        };
        let text = error.to_string();
        assert!(
            text.starts_with("no available IPv4 addresses on this network's address pools: tiny ("),
            "{text}"
        );
        assert!(node.networks.inspect("bridge").unwrap().endpoints.is_empty());
        node.networks.release(&chosen.id).await.unwrap();
        assert_eq!(node.container("c5", &["tiny"], &[]).await.ip(), Ipv4Addr::new(10, 7, 0, 3));
        let Err(error) = node
            .try_container(
                "c6",
                SandboxRequest {
                    endpoints: vec![EndpointRequest {
                        network: "bridge".into(),
                        ipv4: Some([172, 17, 0, 9].into()),
                        ..EndpointRequest::default()
                    }],
                    ..SandboxRequest::default()
                },
            )
            .await
        else {
            panic!()
        };
        assert_eq!(
            error.to_string(),
            "user specified IP address is supported on user defined networks only"
        );
    });
}

#[test]
fn pools_run_out_with_an_error() {
    let pool = crate::AddressPool { base: "10.50.0.0/23".parse().unwrap(), size: 24 };
    let config = NetworkConfig { pools: vec![pool], pool_size: 0, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("one", |_| ()).await;
        let error = node.try_network("two", |_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "all predefined address pools have been fully subnetted");
        let error = node
            .try_network("two", |request| request.ipam = subnet("10.50.1.0/25"))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid pool request: Pool overlaps with other one on this address space"
        );
        assert_eq!(error.kind(), Kind::Forbidden);
        node.networks.remove("one").await.unwrap();
        node.network("two", |_| ()).await;
    });
}

#[test]
fn host_and_none() {
    on_a_node(async |node| {
        let id = container_id("h");
        let sandbox = node.networks.sandbox(&id, request("h", &["host"], &[publish(80)])).await;
        let sandbox = sandbox.unwrap();
        assert!(matches!(sandbox.netns, Netns::Host));
        assert!(sandbox.state.host && sandbox.state.ports.is_empty());
        assert_eq!(node.networks.inspect("host").unwrap().endpoints[0].container, id);

        let none = node.container("n", &["none"], &[]).await;
        let inside = shoal_sys::netns::enter(none.namespace.as_fd(), links).unwrap();
        assert_eq!(inside.lines().count(), 1, "{inside}");
        assert!(inside.contains("LOOPBACK,UP"), "{inside}");

        let connect = EndpointRequest { network: "bridge".into(), ..EndpointRequest::default() };
        for id in [&id, &none.id] {
            let error = node.connect(id, connect.clone()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Forbidden);
        }
        let asked = request("x1", &["host", "bridge"], &[]);
        let error = node.networks.sandbox(&container_id("x1"), asked).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden);
    });
}

#[test]
fn running_containers_join_and_leave() {
    on_a_node(async |node| {
        node.network("inner", |request| request.internal = true).await;
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["inner"], &[]).await;
        let b = node.container("b1", &["web"], &[publish(8003)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        let _b = Server::start(b.namespace.as_fd(), 80);
        let _world = Server::start(node.neighbour.as_fd(), 80);
        let inside = Some(a.namespace.as_fd());
        assert_closed(inside, (b.ip(), 80));

        let connect = |network: &str| EndpointRequest {
            network: network.into(),
            ..EndpointRequest::default()
        };
        let endpoint = node.connect(&a.id, connect("web")).await.unwrap();
        assert_eq!(endpoint.link, "eth1");
        ask(inside, (b.ip(), 80));
        // Its first way out.
        assert_eq!(ask(inside, (NEIGHBOUR, 80)), NODE.to_string());
        let error = node.connect(&a.id, connect("web")).await.unwrap_err();
        assert_eq!(error.to_string(), "endpoint with name a1 already exists in network web");

        node.networks.disconnect(&a.id, "web").await.unwrap();
        assert_closed(inside, (b.ip(), 80));
        let error = node.networks.disconnect(&a.id, "web").await.unwrap_err();
        assert!(error.to_string().ends_with("is not connected to network web"), "{error}");
        assert_eq!(node.connect(&a.id, connect("web")).await.unwrap().link, "eth1");

        // A published port follows to the next network.
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        node.connect(&b.id, connect("bridge")).await.unwrap();
        node.networks.disconnect(&b.id, "web").await.unwrap();
        assert_eq!(ask(Some(node.neighbour.as_fd()), (NODE, 8003)), NEIGHBOUR.to_string());
    });
}

#[test]
fn nothing_is_left_of_a_container() {
    let config = NetworkConfig { pool_size: 2, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let before = node.networks.list().len();
        for _ in 0..3 {
            let a = node.container("a1", &["bridge"], &[publish(8003)]).await;
            let b = node.container("b1", &["web", "bridge"], &[]).await;
            node.networks.release(&a.id).await.unwrap();
            node.networks.release(&b.id).await.unwrap();
            node.networks.release(&b.id).await.unwrap();
            // One in the background and one whose namespace somebody holds.
            drop(a);
            let b_link = b.state.endpoints[0].host_link.clone();
            eventually("swept", || !links().contains(&b_link));
        }
        node.networks.remove("web").await.unwrap();
        assert_eq!(node.networks.list().len(), before - 1);
        node.networks.close().await;
        eventually("no pair left", || !links().contains("veth"));
    });
}

#[test]
fn a_full_bridge_says_so() {
    on_a_node(async |node| {
        // As many ports as the kernel allows, without a namespace each.
        let mut script = String::new();
        for n in 0..512 {
            script.push_str(&format!("link add p{n} type veth peer name q{n}\n"));
            script.push_str(&format!("link set p{n} master shoal0\n"));
            if n > 0 {
                script.push_str(&format!("link set q{n} master shoal0\n"));
            }
        }
        let file = node.root().join("batch");
        std::fs::write(&file, script).unwrap();
        output("ip", &["-batch", file.to_str().unwrap()]);
        let Err(error) = node.try_container("c1", request("c1", &["bridge"], &[])).await else {
            panic!()
        };
        assert_eq!(error.to_string(), "network bridge is full: a bridge holds 1023 ports");
        output("ip", &["link", "delete", "p0"]);
        node.container("c1", &["bridge"], &[]).await;
    });
}

#[test]
fn a_bridge_somebody_removed_comes_back() {
    on_a_node(async |node| {
        output("ip", &["link", "delete", "shoal0"]);
        let a = node.container("a1", &["bridge"], &[publish(8003)]).await;
        let _a = Server::start(a.namespace.as_fd(), 80);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        ask(None, (Ipv4Addr::LOCALHOST, 8003));
    });
}

#[test]
fn a_link_of_somebody_else_is_not_taken() {
    on_a_node(async |node| {
        output("ip", &["link", "add", "mine", "type", "bridge"]);
        let name = option("com.docker.network.bridge.name", "mine");
        let error = node.try_network("web", |r| r.options = name).await.unwrap_err();
        assert_eq!(error.to_string(), "link mine exists already");
        assert!(links().contains("mine"));
        assert_eq!(node.networks.list().len(), 3);
    });
}

#[test]
fn a_missing_firewall_program_is_named() {
    let config = NetworkConfig { pool_size: 0, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        let directory = tempfile::tempdir().unwrap();
        let config = NetworkConfig {
            nft: "/nonexistent/nft".into(),
            default_bridge: "other0".into(),
            default_subnet: Some(([10, 3, 0, 1].into(), "10.3.0.0/24".parse().unwrap())),
            ..NetworkConfig::default()
        };
        let other = Networks::open(directory.path(), config).await.unwrap();
        assert_eq!(other.host_gateway(), Ipv4Addr::new(10, 3, 0, 1));
        let error = other.warm().await.unwrap_err();
        assert!(error.chain().starts_with("run /nonexistent/nft for replacing the table"));
        other.close().await;
        assert_eq!(node.networks.list().len(), 3);
    });
}
