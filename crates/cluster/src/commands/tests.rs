//! What commands refuse, and in which words.

use shoal_model::swarm::{
    Annotations, ConfigSpec, EndpointMode, EndpointSpec, Mount, NetworkAttachmentSpec, NodeRole,
    NodeState, PortConfig, PublishMode, ResourceLimits, ResourceRequirements, SecretRef,
    SecretSpec, ServiceMode, ServiceSpec, Shared, TaskSpec, UpdateConfig, Version,
};
use shoal_model::{Classify, Kind};

use super::*;
use crate::Batch;
use crate::test_cluster::{node, node_id, spec};
use crate::test_scene::Scene;

fn create(scene: &mut Scene, spec: ServiceSpec) -> Result<Outcome, CommandError> {
    scene.command(Command::CreateService(Box::new(spec)))
}

fn refusal(write: impl FnOnce(&mut ServiceSpec)) -> (String, Kind) {
    let mut scene = Scene::new(&["n1"]);
    let mut spec = spec("web", 1);
    write(&mut spec);
    let error = create(&mut scene, spec).expect_err("refused");
    (error.to_string(), error.kind())
}

fn in_task(write: impl FnOnce(&mut TaskSpec)) -> (String, Kind) {
    refusal(|spec| write(Shared::make_mut(&mut spec.task)))
}

fn invalid(text: &str) -> (String, Kind) {
    (text.to_owned(), Kind::Invalid)
}

fn missing(text: &str) -> (String, Kind) {
    (text.to_owned(), Kind::NotImplemented)
}

#[test]
fn names() {
    let name = |name: &str| refusal(|spec| spec.annotations.name = name.to_owned());
    assert_eq!(name(""), invalid("meta: name must be provided"));
    for bad in ["-a", "a-", "a b", "a.b", "ü", "a/b"] {
        assert_eq!(name(bad), invalid("name must be valid as a DNS name component"), "{bad}");
    }
    assert_eq!(name(&"a".repeat(64)), invalid("name must be 63 characters or fewer"));
    for good in ["a", "a_b", "A-1", &"a".repeat(63)] {
        create(&mut Scene::new(&[]), spec(good, 1)).unwrap();
    }
}

#[test]
fn a_name_is_given_once() {
    let mut scene = Scene::new(&[]);
    scene.create(spec("spider", 1));
    let error = create(&mut scene, spec("spider", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "name conflicts with an existing object: service spider already exists"
    );
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(
        error.docker_text(),
        "rpc error: code = AlreadyExists desc = \
         name conflicts with an existing object: service spider already exists"
    );
}

#[test]
fn two_creations_at_once_are_found_when_applied() {
    let mut scene = Scene::new(&[]);
    let decide = |scene: &mut Scene| {
        let command = Command::CreateService(Box::new(spec("web", 1)));
        decide(&scene.store, command, scene.now, &mut scene.rng).unwrap().changes
    };
    let (first, second) = (decide(&mut scene), decide(&mut scene));
    scene.apply(first);
    let error = scene.store.apply(Batch::new(scene.now, second)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "name conflicts with an existing object: service web already exists"
    );
    assert_eq!(scene.store.services().len(), 1);
}

#[test]
fn images_and_mounts() {
    let image = |image: &str| in_task(|task| task.container.image = image.to_owned());
    assert_eq!(image(""), invalid("ContainerSpec: image reference must be provided"));
    assert_eq!(image("UPPER"), invalid("ContainerSpec: \"UPPER\" is not a valid repository/tag"));
    let mount = Mount { target: "/data".into(), ..Mount::default() };
    assert_eq!(
        in_task(|task| task.container.mounts = vec![mount.clone(), mount]),
        invalid("ContainerSpec: duplicate mount point: /data")
    );
}

#[test]
fn resources() {
    let limits = |nano_cpus, memory_bytes| {
        in_task(|task| {
            let limits = Some(ResourceLimits { nano_cpus, memory_bytes, pids: 0 });
            task.resources = Some(ResourceRequirements { limits, reservations: None });
        })
    };
    assert_eq!(limits(1000, 0), invalid("invalid cpu value 0.000001: Must be at least 0.001"));
    assert_eq!(limits(0, 1 << 20), invalid("invalid memory value 1048576: Must be at least 4MiB"));
}

#[test]
fn constraints() {
    let constraint = |text: &str| {
        in_task(|task| {
            task.placement.get_or_insert_default().constraints.push(text.to_owned());
        })
    };
    assert_eq!(constraint("node.role"), invalid("constraint expected one operator from ==, !="));
    assert_eq!(constraint("1==2"), invalid("key '1' is invalid"));
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let job = ServiceMode::ReplicatedJob { max_concurrent: 0, total_completions: 1 };
    assert_eq!(
        refusal(|spec| spec.mode = job),
        missing("service mode replicated-job is not implemented")
    );
    assert_eq!(
        refusal(|spec| spec.mode = ServiceMode::GlobalJob),
        missing("service mode global-job is not implemented")
    );
    let network = NetworkAttachmentSpec { target: "backend".into(), ..Default::default() };
    assert_eq!(
        in_task(|task| task.networks.push(network)),
        missing("attaching a service to network backend is not implemented")
    );
    let port = PortConfig { target_port: 80, published_port: 8080, ..PortConfig::default() };
    assert_eq!(
        refusal(|spec| {
            spec.endpoint = Some(EndpointSpec { ports: vec![port], ..EndpointSpec::default() });
        }),
        missing(
            "publishing port 80 through the routing mesh (use mode=host instead) is not \
             implemented"
        )
    );
}

#[test]
fn ports() {
    let port = PortConfig {
        target_port: 80,
        published_port: 8080,
        publish_mode: PublishMode::Host,
        ..PortConfig::default()
    };
    let with = |mode, ports: Vec<PortConfig>| {
        refusal(|spec| spec.endpoint = Some(EndpointSpec { mode, ports }))
    };
    assert_eq!(
        with(EndpointMode::Vip, vec![port.clone(), port.clone()]),
        invalid("EndpointSpec: duplicate published ports provided")
    );
    let ingress = PortConfig { publish_mode: PublishMode::Ingress, ..port };
    assert_eq!(
        with(EndpointMode::DnsRoundRobin, vec![ingress]),
        invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
    );
}

#[test]
fn update_configs() {
    let config = UpdateConfig { max_failure_ratio: 1.5, ..UpdateConfig::default() };
    assert_eq!(refusal(|spec| spec.update = Some(config)).1, Kind::Invalid);
}

#[test]
fn updates_are_made_from_the_newest_version() {
    let mut scene = Scene::new(&[]);
    let id = scene.create(spec("web", 1));
    let version = scene.store.service(&id).unwrap().meta.version;
    let update = |image: &str| {
        let mut spec = spec("web", 1);
        Shared::make_mut(&mut spec.task).container.image = image.to_owned();
        Command::UpdateService {
            service: id.clone(),
            version,
            spec: Box::new(spec),
            registry_auth_from: RegistryAuthFrom::Spec,
        }
    };
    scene.command(update("image:2")).unwrap();
    let error = scene.command(update("image:3")).unwrap_err();
    assert_eq!(error.to_string(), "update out of sequence");
    assert_eq!(scene.store.service(&id).unwrap().spec.task.container.image, "image:2");
}

#[test]
fn what_the_cluster_does_by_itself_does_not_disturb_an_update() {
    let mut scene = Scene::new(&["n1"]);
    let id = scene.create(spec("web", 4));
    scene.settle();
    scene.set_image("web", "image:2");
    let version = scene.store.service(&id).unwrap().meta.version;
    scene.settle();
    scene.after(60);
    scene.settle();
    assert_eq!(scene.store.service(&id).unwrap().meta.version, version);
}

#[test]
fn an_update_keeps_name_and_mode_and_credentials() {
    let mut scene = Scene::new(&[]);
    let mut with_auth = spec("web", 1);
    Shared::make_mut(&mut with_auth.task).container.registry_auth = "secret".into();
    let id = scene.create(with_auth);
    let version = scene.store.service(&id).unwrap().meta.version;
    let mut update = |new: ServiceSpec| {
        scene.command(Command::UpdateService {
            service: id.clone(),
            version,
            spec: Box::new(new),
            registry_auth_from: RegistryAuthFrom::Spec,
        })
    };
    let error = update(spec("other", 1)).unwrap_err();
    assert_eq!(error.to_string(), "renaming services is not implemented");
    let error = update(ServiceSpec { mode: ServiceMode::Global, ..spec("web", 1) }).unwrap_err();
    assert_eq!(error.to_string(), "service mode change is not implemented");
    update(spec("web", 1)).unwrap();
    let service = scene.store.service(&id).unwrap();
    assert_eq!(service.spec.task.container.registry_auth, "secret");
    assert_eq!(service.previous_spec_version, Some(Version(1)));
    assert_eq!(service.spec_version, Version(2));
}

#[test]
fn roll_back_needs_something_to_return_to() {
    let mut scene = Scene::new(&[]);
    let id = scene.create(spec("web", 1));
    let version = scene.store.service(&id).unwrap().meta.version;
    let error =
        scene.command(Command::RollBackService { service: id.clone(), version }).unwrap_err();
    assert_eq!(error.to_string(), format!("service {id} does not have a previous spec"));
    assert_eq!(error.grpc_code(), "FailedPrecondition");
}

#[test]
fn nodes_are_removed_when_they_are_down() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let id = node_id("n1");
    let remove = |force| Command::RemoveNode { node: id.clone(), force };
    let error = scene.command(remove(false)).unwrap_err();
    assert_eq!(error.to_string(), format!("node {id} is not down and can't be removed"));
    scene.node_is("n1", NodeState::Down);
    scene.command(remove(false)).unwrap();
    let blacklist = &scene.store.cluster().unwrap().blacklisted_certificates;
    assert!(blacklist.contains_key(id.as_str()), "its certificate is no longer good");
    let error = scene.command(remove(false)).unwrap_err();
    assert_eq!((error.to_string(), error.kind()), (format!("node {id} not found"), Kind::NotFound));
    let remove = Command::RemoveNode { node: node_id("n2"), force: true };
    scene.command(remove).unwrap();
    assert_eq!(scene.store.nodes().len(), 0);
}

#[test]
fn managers_are_not_removed() {
    let mut scene = Scene::new(&[]);
    let mut manager = node("m1");
    manager.spec.desired_role = NodeRole::Manager;
    scene.apply(vec![Change::CreateNode(Box::new(manager))]);
    let command = Command::RemoveNode { node: node_id("m1"), force: true };
    let error = scene.command(command).unwrap_err().to_string();
    assert!(error.contains("is a cluster manager and is a member of the raft cluster"), "{error}");
}

#[test]
fn a_node_keeps_its_role() {
    let mut scene = Scene::new(&["n1"]);
    let node = scene.store.node(&node_id("n1")).unwrap();
    let spec = NodeSpec { desired_role: NodeRole::Manager, ..node.spec.clone() };
    let command = Command::UpdateNode { node: node.id.clone(), version: node.meta.version, spec };
    assert_eq!(
        scene.command(command).unwrap_err().to_string(),
        "changing the role of a node is not implemented"
    );
}

#[test]
fn the_last_manager_is_not_demoted() {
    let mut scene = Scene::new(&["n1"]);
    let mut manager = node("m1");
    manager.spec.desired_role = NodeRole::Manager;
    scene.apply(vec![Change::CreateNode(Box::new(manager))]);
    let node = scene.store.node(&node_id("m1")).unwrap();
    let spec = NodeSpec { desired_role: NodeRole::Worker, ..node.spec.clone() };
    let command = Command::UpdateNode { node: node.id.clone(), version: node.meta.version, spec };
    assert_eq!(
        scene.command(command).unwrap_err().docker_text(),
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the \
         swarm"
    );
}

#[test]
fn tokens_are_replaced_one_by_one() {
    let mut scene = Scene::new(&[]);
    let cluster = scene.store.cluster().unwrap().clone();
    scene
        .command(Command::UpdateCluster {
            version: cluster.meta.version,
            spec: Box::new(cluster.spec.clone()),
            new_worker_token: Some("fresh".into()),
            new_manager_token: None,
        })
        .unwrap();
    let tokens = &scene.store.cluster().unwrap().root_ca.join_tokens;
    assert_eq!((tokens.worker.as_str(), tokens.manager.as_str()), ("fresh", "m"));
}

#[test]
fn cluster_settings_are_checked() {
    let mut scene = Scene::new(&[]);
    let cluster = scene.store.cluster().unwrap().clone();
    let mut update = |write: &dyn Fn(&mut ClusterSpec)| {
        let mut spec = cluster.spec.clone();
        write(&mut spec);
        let (version, spec) = (cluster.meta.version, Box::new(spec));
        let command = Command::UpdateCluster {
            version,
            spec,
            new_worker_token: None,
            new_manager_token: None,
        };
        scene.command(command).unwrap_err().to_string()
    };
    assert_eq!(
        update(&|spec| spec.annotations.name = "x".into()),
        "modification of cluster name is not allowed"
    );
    assert_eq!(
        update(&|spec| spec.ca.node_cert_expiry = std::time::Duration::from_secs(60)),
        "minimum certificate expiry time is: 1h0m0s"
    );
    assert_eq!(
        update(&|spec| spec.encryption.auto_lock_managers = true),
        "locking managers (autolock) is not implemented"
    );
}

#[test]
fn secrets_and_configs() {
    let mut scene = Scene::new(&[]);
    let secret = |name: &str, data: &[u8]| {
        let annotations = Annotations::named(name);
        Command::CreateSecret(SecretSpec { annotations, data: data.to_vec() })
    };
    let Ok(Outcome::Secret(id)) = scene.command(secret("key", b"x")) else { panic!("no id") };
    let error = |result: Result<Outcome, CommandError>| result.unwrap_err().to_string();
    assert_eq!(
        error(scene.command(secret("key", b"y"))),
        "name conflicts with an existing object: secret key already exists"
    );
    assert_eq!(
        error(scene.command(secret("empty", b""))),
        "secret data must be larger than 0 and less than 512000 bytes"
    );
    assert!(error(scene.command(secret("-", b"x"))).starts_with("invalid name, only 64"));

    let used =
        SecretRef { secret_id: id.clone(), secret_name: "key".into(), file: Default::default() };
    let mut user = spec("web", 1);
    Shared::make_mut(&mut user.task).container.secrets = vec![used.clone()];
    let service = scene.create(user.clone());
    assert_eq!(
        error(scene.command(Command::RemoveSecret(id.clone()))),
        "secret 'key' is in use by the following service: web"
    );
    scene.command(Command::RemoveService(service)).unwrap();
    scene.command(Command::RemoveSecret(id)).unwrap();
    assert_eq!(error(create(&mut scene, user)), "secret not found: key");

    let config = ConfigSpec { annotations: Annotations::named("conf"), data: b"a".to_vec() };
    let Ok(Outcome::Config(id)) = scene.command(Command::CreateConfig(config.clone())) else {
        panic!("no id")
    };
    let version = scene.store.config(&id).unwrap().meta.version;
    let changed = ConfigSpec { data: b"b".to_vec(), ..config };
    assert_eq!(
        error(scene.command(Command::UpdateConfig { config: id.clone(), version, spec: changed })),
        "only updates to Labels are allowed"
    );
    scene.command(Command::RemoveConfig(id)).unwrap();
}

#[test]
fn scaling() {
    let mut scene = Scene::new(&[]);
    let id = scene.create(ServiceSpec { mode: ServiceMode::Global, ..spec("agent", 0) });
    let command = Command::ScaleService { service: id, replicas: 3 };
    assert_eq!(
        scene.command(command).unwrap_err().to_string(),
        "scale can only be used with replicated or replicated-job mode"
    );
    let id = scene.create(spec("web", 0));
    let command = Command::ScaleService { service: id, replicas: 1 << 40 };
    assert_eq!(scene.command(command).unwrap_err().kind(), Kind::Invalid);
}
