//! What is shown can be sent back, and what the CLI sends is understood.

use serde_json::json;
use shoal_model::swarm::{Cluster, JoinTokens, RootCa};

use super::super::wire::{At, Wire};
use super::*;

fn read(document: Value) -> Result<ServiceSpec> {
    ServiceDocument::read(document, &At::ROOT)?.into_domain(&str::to_owned)
}

#[test]
fn what_is_shown_can_be_sent_back() {
    let spec = read(json!({
        "Name": "web", "Labels": {"a": "b"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "redis:7", "Command": ["a"], "Args": ["b"], "Env": ["K=v"], "Dir": "/d",
                "User": "u", "Groups": ["g"], "Hostname": "{{.Task.Slot}}", "TTY": true,
                "OpenStdin": true, "ReadOnly": true, "StopSignal": "SIGINT", "StopGracePeriod": 5,
                "Mounts": [
                    {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rprivate"}},
                    {"Type": "volume", "Target": "/c", "VolumeOptions": {"NoCopy": true,
                        "Labels": {"x": "y"}, "DriverConfig": {"Name": "local"}}},
                    {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}}],
                "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1_000_000_000, "Retries": 3},
                "Hosts": ["1.2.3.4 x"], "DNSConfig": {"Nameservers": ["1.1.1.1"]},
                "Init": true, "Sysctls": {"net.core.somaxconn": "5"}, "Isolation": "default",
                "CapabilityAdd": ["CAP_NET_ADMIN"], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
                "Privileges": {"NoNewPrivileges": true, "Seccomp": {"Mode": "unconfined"}},
            },
            "Resources": {"Limits": {"NanoCPUs": 5, "MemoryBytes": 6, "Pids": 7},
                "Reservations": {"MemoryBytes": 1, "GenericResources": [
                    {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": 1, "MaxAttempts": 2, "Window": 3},
            "Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2,
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.a"}}],
                "Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
            "Networks": [{"Target": "host", "Aliases": ["x"]}], "ForceUpdate": 4,
        },
        "Mode": {"Replicated": {"Replicas": 50}},
        "UpdateConfig": {"Parallelism": 10, "Delay": 5, "FailureAction": "rollback", "Monitor": 1,
            "MaxFailureRatio": 0.5, "Order": "start-first"},
        "RollbackConfig": {"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [
            {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 5353, "PublishMode": "host"}]},
    }))
    .expect("a spec");
    let shown = render_service_spec(&spec);
    let typed: bollard_stubs::models::ServiceSpec =
        serde_json::from_value(shown.clone()).expect("Docker's own type");
    assert_eq!(typed.name.as_deref(), Some("web"));
    assert_eq!(read(shown.clone()).expect("the same"), spec);
    assert_eq!(shown["TaskTemplate"]["ContainerSpec"]["Mounts"][2]["TmpfsOptions"]["Mode"], 448);
    assert_eq!(shown["Mode"]["Replicated"]["Replicas"], 50);
}

#[test]
fn the_smallest_service_is_one_replica() {
    let spec = read(json!({"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "i"}}}))
        .expect("a spec");
    assert_eq!(spec.mode, ServiceMode::Replicated { replicas: 1 });
    assert_eq!(read(render_service_spec(&spec)).expect("the same"), spec);
}

#[test]
fn what_the_domain_has_not_is_refused_by_name() {
    for (document, name) in [
        (json!({"TaskTemplate": {"ContainerSpec": {"Image": "i", "Whatever": 1}}}), "Whatever"),
        (json!({"TaskTemplate": {"Runtime": "plugin", "PluginSpec": {"Name": "x"}}}), "PluginSpec"),
        (json!({"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "npipe"}]}}}), "npipe"),
        (
            json!({"TaskTemplate": {"ContainerSpec": {}}, "Mode": {"Global": {}, "Replicated": {}}}),
            "mode",
        ),
    ] {
        let error = read(document).expect_err(name);
        assert!(error.message().contains(name), "{}", error.message());
    }
}

#[test]
fn cluster_settings_fall_back_to_the_defaults() {
    let document = json!({"Orchestration": {}, "Raft": {"ElectionTick": 0}, "CAConfig": {},
        "Dispatcher": {"HeartbeatPeriod": 0}, "EncryptionConfig": {"AutoLockManagers": false}});
    let read = cluster::ClusterDocument::read(document, &At::ROOT).expect("a document");
    let spec = read.into_domain().expect("settings");
    assert_eq!(spec.orchestration.task_history_limit, 5);
    assert_eq!(spec.raft.election_tick, 10);
    let locked = json!({"EncryptionConfig": {"AutoLockManagers": true}});
    let locked = cluster::ClusterDocument::read(locked, &At::ROOT).expect("a document");
    assert!(locked.into_domain().is_err());
}

#[test]
fn a_cluster_shows_no_address_pool_that_nobody_chose() {
    let root_ca = RootCa {
        certificate_pem: String::new(),
        key_pem: String::new(),
        certificate_digest: String::new(),
        join_tokens: JoinTokens { worker: "w".into(), manager: "m".into() },
        last_forced_rotation: 0,
    };
    let shown = cluster::render_cluster(&Cluster {
        id: "0000000000000000000000000".parse().expect("an id"),
        meta: Default::default(),
        spec: Default::default(),
        root_ca,
        blacklisted_certificates: Default::default(),
    });
    // The CLI prints a line for a list, even an empty one.
    assert_eq!((&shown["DefaultAddrPool"], &shown["SubnetSize"]), (&json!(null), &json!(24)));
}
