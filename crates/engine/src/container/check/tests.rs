use super::*;
use crate::domain::Ulimit;

const MACHINE: Machine =
    Machine { processors: 2, memory_bytes: 8 << 30, cpus: "0-1,4", memory_nodes: "0" };

fn config() -> ContainerConfig {
    ContainerConfig { cmd: Some(vec!["true".into()]), ..ContainerConfig::default() }
}

fn refusal(config: &ContainerConfig, host: &HostConfig) -> String {
    check(config, host, MACHINE).unwrap_err().to_string()
}

fn resources(resources: Resources) -> HostConfig {
    HostConfig { resources, ..HostConfig::default() }
}

#[test]
fn a_plain_container_is_fine() {
    assert_eq!(check(&config(), &HostConfig::default(), MACHINE).unwrap(), Vec::<String>::new());
}

#[test]
fn the_domain_name_of_its_own_uts_namespace_can_be_set() {
    let mut host = HostConfig::default();
    host.sysctls.insert("kernel.domainname".into(), "example.org".into());
    assert_eq!(check(&config(), &host, MACHINE).unwrap(), Vec::<String>::new());
}

#[test]
fn configurations_without_sense_are_named() {
    let host = HostConfig::default();
    let with = |change: fn(&mut ContainerConfig)| {
        let mut changed = config();
        change(&mut changed);
        changed
    };
    for (config, message) in [
        (with(|c| c.cmd = None), "no command specified"),
        (with(|c| c.stop_signal = Some("SIGNOPE".into())), "invalid signal: SIGNOPE"),
        (
            with(|c| c.workdir = "srv".into()),
            "the working directory 'srv' is invalid, it needs to be an absolute path",
        ),
        (with(|c| c.env = vec!["=x".into()]), "invalid environment variable: =x"),
        (with(|c| c.hostname = Some("-a".into())), "invalid hostname format: -a"),
    ] {
        assert_eq!(refusal(&config, &host), message);
    }
}

#[test]
fn limits_without_sense_are_named() {
    for (given, message) in [
        (
            Resources { memory_bytes: Some(1 << 20), ..Resources::default() },
            "Minimum memory limit allowed is 6MB",
        ),
        (
            Resources { memory_swap_bytes: Some(1 << 30), ..Resources::default() },
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            Resources {
                memory_bytes: Some(1 << 30),
                memory_swap_bytes: Some(1 << 29),
                ..Resources::default()
            },
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            Resources { nano_cpus: Some(3_000_000_000), ..Resources::default() },
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            Resources {
                nano_cpus: Some(1_000_000_000),
                cpu_quota_us: Some(5_000),
                ..Resources::default()
            },
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set.",
        ),
        (
            Resources {
                ulimits: vec![Ulimit { name: "files".into(), soft: 1, hard: 1 }],
                ..Resources::default()
            },
            "invalid ulimit type: files",
        ),
    ] {
        assert_eq!(refusal(&config(), &resources(given)), message);
    }
}

#[test]
fn options_that_exclude_each_other_are_named() {
    let host = |change: fn(&mut HostConfig)| {
        let mut changed = HostConfig::default();
        change(&mut changed);
        changed
    };
    for (host, message) in [
        (
            host(|h| {
                h.auto_remove = true;
                h.restart_policy = RestartPolicy::Always;
            }),
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            host(|h| {
                h.network_mode = NetworkMode::Container("a".into());
                h.publish_all_ports = true;
            }),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            host(|h| {
                h.network_mode = NetworkMode::Host;
                h.sysctls.insert("net.core.somaxconn".into(), "1".into());
            }),
            "sysctl 'net.core.somaxconn' not allowed in host network namespace",
        ),
        (
            host(|h| {
                h.uts_mode = UtsMode::Host;
                h.sysctls.insert("kernel.domainname".into(), "x".into());
            }),
            "sysctl 'kernel.domainname' not allowed in host uts namespace",
        ),
        (
            host(|h| {
                h.sysctls.insert("vm.swappiness".into(), "1".into());
            }),
            "sysctl 'vm.swappiness' is not allowed: it is not in a separate kernel namespace",
        ),
        (
            host(|h| h.dns = vec!["one".into()]),
            "bad format for DNS server: one is not an ip address",
        ),
        (host(|h| h.extra_hosts = vec!["one".into()]), "bad format for add-host: \"one\""),
        (host(|h| h.cap_add = vec!["FLY".into()]), "unknown capability: \"FLY\""),
    ] {
        assert_eq!(refusal(&config(), &host), message);
    }
}

#[test]
fn extra_hosts_come_in_all_forms() {
    assert_eq!(read_extra_host("a:1.2.3.4"), Some(("a", Some([1, 2, 3, 4].into()))));
    assert_eq!(read_extra_host("a=1.2.3.4"), Some(("a", Some([1, 2, 3, 4].into()))));
    assert_eq!(read_extra_host("a:host-gateway"), Some(("a", None)));
    assert_eq!(read_extra_host("a:[::1]"), Some(("a", Some(std::net::Ipv6Addr::LOCALHOST.into()))));
    assert_eq!(read_extra_host("a:b"), None);
    assert_eq!(read_extra_host("a"), None);
}

#[test]
fn only_what_the_machine_has_can_be_used() {
    let cpus = |list: &str| resources(Resources { cpuset_cpus: list.into(), ..Default::default() });
    for list in ["", "0", "0-1", "0,1,4", "4"] {
        assert!(check(&config(), &cpus(list), MACHINE).is_ok(), "{list}");
    }
    for list in ["99", "0-2", "1-4", "2", "0-4294967295"] {
        let message =
            format!("Requested CPUs are not available - requested {list}, available: 0-1,4");
        assert_eq!(refusal(&config(), &cpus(list)), message);
    }
    for list in ["a", "1-", "-", "1-0", "0-1-2"] {
        assert_eq!(
            refusal(&config(), &cpus(list)),
            format!("Invalid value {list} for cpuset cpus")
        );
    }
    let nodes = resources(Resources { cpuset_mems: "1".into(), ..Default::default() });
    assert_eq!(
        refusal(&config(), &nodes),
        "Requested memory nodes are not available - requested 1, available: 0"
    );
}

#[test]
fn ports_that_cannot_be_published_are_told() {
    let mut host = HostConfig::default();
    host.port_bindings.insert("80/tcp".parse().unwrap(), vec![Default::default()]);
    assert_eq!(check(&config(), &host, MACHINE).unwrap(), Vec::<String>::new());
    host.network_mode = NetworkMode::Host;
    assert_eq!(
        check(&config(), &host, MACHINE).unwrap(),
        ["Published ports are discarded when using host network mode"]
    );
}
