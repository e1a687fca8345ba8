//! Published ports are open to whoever can reach the node, and nothing else
//! is.

use std::net::{Ipv4Addr, TcpListener};

use super::harness::*;
use crate::{HostPort, NetworkConfig, PortRequest, Protocol};
use shoal_model::Classify as _;
use std::os::fd::AsFd;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn published_ports_are_open_to_everybody() {
    for filtered in [false, true] {
        published_ports_are_open(filtered);
    }
}

fn published_ports_are_open(filtered: bool) {
    on_a_node(async |node| {
        filter_bridges(filtered);
        let web = node.container("web", &["bridge"], &[publish(8003)]).await;
        let other = node.container("other", &["bridge"], &[]).await;
        node.network("far", |_| ()).await;
        let far = node.container("far", &["far"], &[]).await;
        let _server = Server::start(web.namespace.as_fd(), 80);
        let gateway = node.networks.host_gateway();

        // The address of who asks is kept.
        assert_eq!(ask(Some(node.neighbour.as_fd()), (NODE, 8003)), NEIGHBOUR.to_string());
        assert_eq!(ask(None, (LOOPBACK, 8003)), gateway.to_string());
        assert_eq!(ask(None, (NODE, 8003)), NODE.to_string());
        // Containers: a neighbour, one of another network, the very same.
        for container in [&other, &far, &web] {
            ask(Some(container.namespace.as_fd()), (NODE, 8003));
            ask(Some(container.namespace.as_fd()), (gateway, 8003));
        }

        node.networks.release(&web.id).await.unwrap();
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        assert_closed(None, (LOOPBACK, 8003));
    });
}

#[test]
fn unpublished_ports_are_closed_to_the_lan() {
    on_a_node(async |node| {
        let web = node.container("web", &["bridge"], &[publish(8003)]).await;
        let _published = Server::start(web.namespace.as_fd(), 80);
        let _unpublished = Server::start(web.namespace.as_fd(), 81);
        let neighbour = node.neighbour.as_fd();
        // It has a route to the container and uses it.
        ask(None, (web.ip(), 81));
        ask(Some(neighbour), (NODE, 8003));
        assert_closed(Some(neighbour), (web.ip(), 81));
        assert_closed(Some(neighbour), (web.ip(), 80));
        assert_closed(Some(neighbour), (NODE, 81));
    });
}

#[test]
fn a_port_published_on_loopback_stays_there() {
    on_a_node(async |node| {
        let mut local = publish(8003);
        local.host_ip = Some(LOOPBACK.into());
        let web = node.container("web", &["bridge"], &[local]).await;
        let _server = Server::start(web.namespace.as_fd(), 80);
        ask(None, (LOOPBACK, 8003));
        assert_closed(None, (NODE, 8003));
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        // Not even for a neighbour that sends packets for 127.0.0.1 over the
        // wire, where the node would have to take them for its own.
        let only_local =
            Server::start_at(shoal_sys::netns::current().unwrap().as_fd(), (LOOPBACK, 9000).into());
        ask(None, (LOOPBACK, 9000));
        let inside = web.namespace.as_fd();
        shoal_sys::netns::enter(inside, || {
            output("ip", &["address", "del", "127.0.0.1/8", "dev", "lo"]);
            std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
            let gateway = node.networks.host_gateway().to_string();
            output("ip", &["route", "add", "127.0.0.1/32", "via", &gateway, "dev", "eth0"]);
        })
        .unwrap();
        assert_closed(Some(inside), (LOOPBACK, 9000));
        drop(only_local);
    });
}

#[test]
fn udp_and_both_at_once() {
    on_a_node(async |node| {
        let udp = |host_port| PortRequest {
            container_port: 80,
            protocol: Protocol::Udp,
            host_ip: None,
            host_port: HostPort::Fixed(host_port),
        };
        let ports = [publish(8003), udp(8003), udp(8004)];
        let web = node.container("web", &["bridge"], &ports).await;
        let _server = Server::start(web.namespace.as_fd(), 80);
        let neighbour = Some(node.neighbour.as_fd());
        assert_eq!(ask_udp(neighbour, (NODE, 8003)), NEIGHBOUR.to_string());
        assert_eq!(ask_udp(neighbour, (NODE, 8004)), NEIGHBOUR.to_string());
        assert_eq!(ask(neighbour, (NODE, 8003)), NEIGHBOUR.to_string());
        ask_udp(None, (LOOPBACK, 8003));
        assert_closed(neighbour, (NODE, 8004));
    });
}

#[test]
fn datagrams_follow_a_port_to_its_next_container() {
    on_a_node(async |node| {
        let udp = PortRequest { protocol: Protocol::Udp, ..publish(8003) };
        let before = Dialogue::start(node.neighbour.as_fd(), (NODE, 8003));
        assert_eq!(before.ask(), None);
        let first = node.container("first", &["bridge"], &[udp]).await;
        let one = Server::start(first.namespace.as_fd(), 80);
        // It was sending before the port was there.
        assert!(before.ask().is_some());
        node.networks.release(&first.id).await.unwrap();
        drop(one);
        let second = node.container("second", &["bridge"], &[udp]).await;
        let _two = Server::start(second.namespace.as_fd(), 80);
        assert_ne!(first.ip(), second.ip());
        assert!(before.ask().is_some());
    });
}

#[test]
fn ephemeral_ports_are_of_the_kernels_range() {
    on_a_node(async |node| {
        let mut any = publish(0);
        any.host_port = HostPort::Any;
        let web = node.container("web", &["bridge"], &[any, any]).await;
        let _server = Server::start(web.namespace.as_fd(), 80);
        let ports: Vec<_> = web.state.ports.iter().map(|p| p.host_port).collect();
        assert_eq!(ports, [32768, 32769]);
        for port in ports {
            ask(Some(node.neighbour.as_fd()), (NODE, port));
        }
    });
}

#[test]
fn a_port_in_use_is_an_error_that_leaves_nothing() {
    on_a_node(async |node| {
        let first = node.container("first", &["bridge"], &[publish(8003)]).await;
        let _server = Server::start(first.namespace.as_fd(), 80);
        let asked = request("second", &["bridge"], &[publish(8004), publish(8003)]);
        let Err(error) = node.try_container("second", asked).await else { panic!() };
        let text = error.chain();
        assert!(
            text.starts_with(
                "driver failed programming external connectivity on endpoint second ("
            ),
            "{text}"
        );
        assert!(
            text.ends_with("): Bind for 0.0.0.0:8003 failed: port is already allocated"),
            "{text}"
        );
        assert!(node.networks.state(&container_id("second")).is_none());
        assert_eq!(node.networks.inspect("bridge").unwrap().endpoints.len(), 1);
        // 8004 was let go again, 8003 still works.
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        let foreign = TcpListener::bind("0.0.0.0:8004").unwrap();
        let asked = request("third", &["bridge"], &[publish(8004)]);
        let Err(error) = node.try_container("third", asked).await else { panic!() };
        assert!(error.chain().ends_with("/tcp: address already in use"), "{}", error.chain());
        drop(foreign);
        node.container("fourth", &["bridge"], &[publish(8004)]).await;
    });
}

#[test]
fn rules_come_back_when_somebody_flushed_them() {
    on_a_node(async |node| {
        let web = node.container("web", &["bridge"], &[publish(8003)]).await;
        let _server = Server::start(web.namespace.as_fd(), 80);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
        output("nft", &["flush", "ruleset"]);
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        node.container("next", &["bridge"], &[publish(8004)]).await;
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
    });
}

#[test]
fn a_port_that_cannot_be_closed_leads_to_nobody_else() {
    let nft = BusyNft::new();
    let config = NetworkConfig { nft: nft.program(), pool_size: 0, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("web", |request| request.ipam = subnet("10.7.0.0/24")).await;
        let first = node.container("first", &["web"], &[publish(8003)]).await;
        let next = |name| {
            let mut asked = request(name, &["web"], &[]);
            asked.endpoints[0].ipv4 = Some(first.ip());
            asked
        };
        nft.refuse(true);
        let error = node.networks.release(&first.id).await.unwrap_err();
        assert!(error.to_string().ends_with("Device or resource busy"), "{error}");
        // The rule is there; nobody may have the address it leads to.
        assert!(node.networks.state(&first.id).is_none());
        let Err(error) = node.try_container("second", next("second")).await else { panic!() };
        assert_eq!(error.to_string(), "Address already in use");
        nft.refuse(false);
        // It is tried again, without anybody asking.
        let ports = || output("nft", &["list", "map", "ip", "shoal", "ports"]);
        eventually("the port is closed", || !ports().contains("tcp . 8003"));
        let free = || {
            node.networks.lock().networks.values().any(|live| {
                let mut addresses = live.bridge.clone().map(|(_, addresses)| addresses);
                addresses.as_mut().is_some_and(|a| a.exactly(first.ip()).is_ok())
            })
        };
        eventually("the address is free", free);
        let second = node.try_container("second", next("second")).await.unwrap();
        let _server = Server::start(second.namespace.as_fd(), 80);
        ask(None, (second.ip(), 80));
        assert_closed(Some(node.neighbour.as_fd()), (NODE, 8003));
        let third = node.container("third", &["web"], &[publish(8003)]).await;
        let _server = Server::start(third.namespace.as_fd(), 80);
        ask(Some(node.neighbour.as_fd()), (NODE, 8003));
    });
}

#[test]
fn a_close_that_failed_comes_with_the_next_change() {
    let nft = BusyNft::new();
    let config = NetworkConfig { nft: nft.program(), pool_size: 0, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["web"], &[publish(8003)]).await;
        let b = node.container("b1", &["web"], &[publish(8004)]).await;
        let _b = Server::start(b.namespace.as_fd(), 80);
        nft.refuse(true);
        node.networks.disconnect(&a.id, "web").await.unwrap_err();
        let Err(error) = node.try_container("c1", request("c1", &["web"], &[publish(8005)])).await
        else {
            panic!()
        };
        assert!(error.to_string().ends_with("Device or resource busy"), "{error}");
        nft.refuse(false);
        node.container("d1", &["web"], &[publish(8006)]).await;
        let ports = output("nft", &["list", "map", "ip", "shoal", "ports"]);
        let open: Vec<_> =
            [8003, 8004, 8005, 8006].map(|port| ports.contains(&format!("tcp . {port}"))).into();
        assert_eq!(open, [false, true, false, true], "{ports}");
        ask(Some(node.neighbour.as_fd()), (NODE, 8004));
    });
}

#[test]
fn a_network_that_cannot_be_removed_stays_guarded() {
    let nft = BusyNft::new();
    let config = NetworkConfig { nft: nft.program(), pool_size: 0, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let link = format!("br-{}", node.networks.inspect("web").unwrap().network.id.short());
        nft.refuse(true);
        node.networks.remove("web").await.unwrap_err();
        nft.refuse(false);
        node.container("a1", &["web"], &[publish(8003)]).await;
        let bridges = output("nft", &["list", "set", "ip", "shoal", "bridges"]);
        assert!(bridges.contains(&link), "{bridges}");
        node.networks.release(&container_id("a1")).await.unwrap();
        node.networks.remove("web").await.unwrap();
    });
}

#[test]
fn many_at_once() {
    let config = NetworkConfig { pool_size: 4, ..NetworkConfig::default() };
    on_a_node_with(config, async |node| {
        let ids: Vec<_> = (0..40).map(|n| format!("c{n:02}")).collect();
        let starts = ids.iter().enumerate().map(|(n, name)| {
            let ports = [publish(9000 + u16::try_from(n).unwrap())];
            let asked = request(name, &["bridge"], &ports);
            let (networks, id) = (node.networks.clone(), container_id(name));
            tokio::spawn(async move { networks.sandbox(&id, asked).await.unwrap().state })
        });
        let starts: Vec<_> = starts.collect();
        let mut addresses = std::collections::BTreeSet::new();
        for start in starts {
            addresses.insert(start.await.unwrap().endpoints[0].ipv4);
        }
        assert_eq!(addresses.len(), 40);
        let table = output("nft", &["list", "map", "ip", "shoal", "ports"]);
        assert_eq!(table.matches("tcp . 90").count(), 40, "{table}");
        for name in &ids {
            node.networks.release(&container_id(name)).await.unwrap();
        }
        let table = output("nft", &["list", "map", "ip", "shoal", "ports"]);
        assert_eq!(table.matches("tcp . 90").count(), 0, "{table}");
    });
}
