//! Containers in networks: addresses, names, published ports.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use shoal_engine::domain::{
    CreateContainer, EndpointOptions, NetworkMode, Port, PortBinding, Protocol, WaitCondition,
};
use shoal_model::{Classify, Kind, NetworkId, Timestamp};

use crate::bed::{eventually, on_node, shell, sleeper};

fn server(port: u16) -> CreateContainer {
    let mut request =
        shell("while true; do echo served | nc -l -p 5000; done & trap 'exit 0' TERM; wait");
    let binding = PortBinding { host_ip: None, host_port: port.to_string().parse().unwrap() };
    request.host.network_mode = NetworkMode::Bridge;
    let inside = Port { number: 5000, protocol: Protocol::Tcp };
    request.host.port_bindings.insert(inside, vec![binding]);
    request
}

fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.write_all(b"\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_published_port_is_reached_and_taken_only_once() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut first = server(18080);
        first.name = Some("first".into());
        daemon.start(first).await;
        let view = daemon.containers().inspect("first").unwrap();
        let endpoint = &view.networks["bridge"];
        assert!(endpoint.ip_address.is_some() && endpoint.gateway.is_some());
        let inside = Port { number: 5000, protocol: Protocol::Tcp };
        assert_eq!(view.ports[&inside][0].host_port, 18080);
        eventually("served", async || {
            let answer = tokio::task::spawn_blocking(|| ask(18080)).await.unwrap();
            answer.as_deref() == Some("served\n")
        })
        .await;

        let mut second = server(18080);
        second.name = Some("second".into());
        daemon.containers().create(second).await.unwrap();
        let refused = daemon.containers().start("second").await.unwrap_err();
        let message = refused.to_string();
        assert!(
            message
                .starts_with("driver failed programming external connectivity on endpoint second")
                && message.ends_with("Bind for 0.0.0.0:18080 failed: port is already allocated"),
            "{message}"
        );
        let state = daemon.containers().inspect("second").unwrap().state;
        assert_eq!((state.status.as_str(), state.error.as_str()), ("created", message.as_str()));
        daemon.remove("first").await;
        daemon.containers().start("second").await.unwrap();
        daemon.remove("second").await;
        daemon.close().await;
    });
}

#[test]
fn names_resolve_in_a_network_of_the_users() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let request = shoal_network::CreateNetwork { name: "sea".into(), ..Default::default() };
        let id = NetworkId::from_bytes([5; 32]);
        daemon.networks.create(request, id, Timestamp::EPOCH).await.unwrap();
        let mut donor = sleeper();
        donor.name = Some("whale".into());
        donor.host.network_mode = NetworkMode::Network("sea".into());
        let alias = EndpointOptions { aliases: vec!["big-fish".into()], ..Default::default() };
        donor.networks.insert("sea".into(), alias);
        daemon.start(donor).await;
        let view = daemon.containers().inspect("whale").unwrap();
        let address = view.networks["sea"].ip_address.unwrap();
        for name in ["whale", "big-fish"] {
            let mut asker = shell(&format!("nslookup {name} 127.0.0.11; cat /etc/resolv.conf"));
            asker.host.network_mode = NetworkMode::Network("sea".into());
            let (output, _) = daemon.run(asker).await;
            assert!(output.contains(&address.to_string()), "{output}");
            assert!(output.contains("nameserver 127.0.0.11"), "{output}");
        }

        // A container of the default bridge joins, and leaves.
        let mut other = sleeper();
        other.name = Some("crab".into());
        other.host.network_mode = NetworkMode::Bridge;
        daemon.start(other).await;
        let containers = daemon.containers();
        containers.connect("crab", "sea", EndpointOptions::default()).await.unwrap();
        assert_eq!(containers.inspect("crab").unwrap().networks.len(), 2);
        let again = containers.connect("crab", "sea", EndpointOptions::default()).await;
        assert_eq!(again.unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(daemon.exec("crab", &["nslookup", "whale"]).await.1, 0);
        let address = containers.inspect("crab").unwrap().networks["sea"].ip_address.unwrap();
        let line = format!(
            "{address}\t{}\n",
            containers.inspect("crab").unwrap().config.hostname.unwrap()
        );
        assert!(daemon.exec("crab", &["cat", "/etc/hosts"]).await.0.ends_with(&line));
        containers.disconnect("crab", "sea", false).await.unwrap();
        assert_eq!(containers.inspect("crab").unwrap().networks.len(), 1);
        assert!(!daemon.exec("crab", &["cat", "/etc/hosts"]).await.0.contains(&line));
        daemon.remove("crab").await;
        daemon.remove("whale").await;
        daemon.networks.remove("sea").await.unwrap();
        daemon.close().await;
    });
}

#[test]
fn a_connect_that_cannot_be_stored_is_undone() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let request = shoal_network::CreateNetwork { name: "sea".into(), ..Default::default() };
        let id = NetworkId::from_bytes([5; 32]);
        daemon.networks.create(request, id, Timestamp::EPOCH).await.unwrap();
        let mut request = sleeper();
        request.name = Some("crab".into());
        request.host.network_mode = NetworkMode::Bridge;
        let id = daemon.start(request).await;
        let containers = daemon.containers();
        // Nothing can be written where the record is first written to.
        let obstacle = bed.root().join("containers").join(id.as_str()).join("container.json.new");
        std::fs::create_dir(&obstacle).unwrap();
        containers.connect("crab", "sea", EndpointOptions::default()).await.unwrap_err();
        assert_eq!(daemon.networks.state(&id).unwrap().endpoints.len(), 1);
        let links = ["ls", "/proc/sys/net/ipv4/conf"];
        assert_eq!(daemon.exec("crab", &links).await.0, "all\ndefault\neth0\nlo\n");
        std::fs::remove_dir(&obstacle).unwrap();
        containers.connect("crab", "sea", EndpointOptions::default()).await.unwrap();
        assert_eq!(daemon.exec("crab", &links).await.0, "all\ndefault\neth0\neth1\nlo\n");
        daemon.remove("crab").await;
        daemon.networks.remove("sea").await.unwrap();
        daemon.close().await;
    });
}

#[test]
fn files_of_etc_tell_the_containers_names() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("hostname; cat /etc/hostname /etc/hosts");
        request.config.hostname = Some("shell".into());
        request.host.network_mode = NetworkMode::Bridge;
        request.host.extra_hosts = vec!["up:host-gateway".into(), "db:10.1.2.3".into()];
        let (output, _) = daemon.run(request).await;
        assert!(output.starts_with("shell\nshell\n"), "{output}");
        assert!(output.contains("10.1.2.3\tdb\n") && output.contains("\tup\n"), "{output}");
        assert!(output.contains("\tshell\n"), "{output}");

        let mut alone = shell("ls /proc/sys/net/ipv4/conf");
        alone.host.network_mode = NetworkMode::None;
        assert_eq!(daemon.run(alone).await.0, "all\ndefault\nlo\n");
        daemon.close().await;
    });
}

#[test]
fn a_container_in_anothers_network_has_its_names() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let in_network_of = |name: &str, line: &str| {
            let mut request = shell(line);
            request.host.network_mode = NetworkMode::Container(name.into());
            request
        };
        // Made before the one it is in the network of.
        let mut middle =
            in_network_of("donor", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait");
        middle.name = Some("middle".into());
        daemon.containers().create(middle).await.unwrap();
        let mut donor = sleeper();
        donor.name = Some("donor".into());
        donor.config.hostname = Some("donor-host".into());
        donor.host.network_mode = NetworkMode::Bridge;
        daemon.start(donor).await;
        daemon.containers().start("middle").await.unwrap();
        assert_eq!(daemon.exec("middle", &["hostname"]).await.0, "donor-host\n");
        let view = daemon.containers().inspect("middle").unwrap();
        assert_eq!(view.config.hostname.as_deref(), Some("donor-host"));
        let line = "hostname; echo $HOSTNAME; cat /etc/hostname; tail -n 1 /etc/hosts";
        let (output, _) = daemon.run(in_network_of("middle", line)).await;
        assert!(output.starts_with("donor-host\ndonor-host\ndonor-host\n"), "{output}");
        assert!(output.ends_with("\tdonor-host\n"), "{output}");
        daemon.remove("middle").await;
        daemon.remove("donor").await;
        daemon.close().await;
    });
}

#[test]
fn a_network_that_would_keep_a_container_from_starting_is_refused() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let mut request = shell("test -e /.dockerenv");
        request.name = Some("crab".into());
        request.host.network_mode = NetworkMode::Bridge;
        containers.create(request).await.unwrap();
        let refused = async |network: &str, options: EndpointOptions| {
            containers.connect("crab", network, options).await.unwrap_err().to_string()
        };
        assert!(refused("none", EndpointOptions::default()).await.contains("private (none) mode"));
        let sea = shoal_network::CreateNetwork { name: "sea".into(), ..Default::default() };
        let id = NetworkId::from_bytes([5; 32]);
        daemon.networks.create(sea, id, Timestamp::EPOCH).await.unwrap();
        let ipv4_address = Some(Ipv4Addr::new(10, 9, 9, 9));
        let address = EndpointOptions { ipv4_address, ..EndpointOptions::default() };
        assert!(refused("sea", address).await.contains("user configured subnets"));
        // It starts, and knows that it is a container.
        containers.start("crab").await.unwrap();
        let ended = containers.wait("crab", WaitCondition::NotRunning).unwrap().done().await;
        assert_eq!(ended.exit_code, 0);
        daemon.remove("crab").await;
        daemon.networks.remove("sea").await.unwrap();
        daemon.close().await;
    });
}
