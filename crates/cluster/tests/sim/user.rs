//! A user who creates, scales, updates, removes and drains.

use std::time::Duration;

use shoal_cluster::Command;
use shoal_model::swarm::{
    Availability, FailureAction, Node, NodeSpec, ResourceRequirements, Resources, RestartPolicy,
    ServiceMode, ServiceSpec, Shared, UpdateConfig, UpdateOrder,
};

use super::World;
use crate::test_cluster::spec;

/// Services at a time at most.
const MAX_SERVICES: usize = 5;

impl World {
    /// One wish.
    pub(super) fn user(&mut self) {
        let services: Vec<_> = self.manager.store.services().cloned().collect();
        let wish = self.rng.below(10);
        if services.is_empty() || (wish < 2 && services.len() < MAX_SERVICES) {
            return self.create_service();
        }
        let service = services[self.rng.below(services.len() as u64) as usize].clone();
        let name = service.spec.annotations.name.clone();
        let command = match wish {
            0..=4 => {
                let ServiceMode::Replicated { .. } = service.spec.mode else { return };
                let replicas = self.rng.below(25);
                self.say(|| format!("scale {name} to {replicas}"));
                Command::ScaleService { service: service.id.clone(), replicas }
            }
            5 | 6 => {
                let mut spec = service.spec.clone();
                let image = format!("image:{}", self.rng.below(100));
                self.say(|| format!("update {name} to {image}"));
                Shared::make_mut(&mut spec.task).container.image = image;
                spec.update = Some(self.update_config());
                Command::UpdateService {
                    service: service.id.clone(),
                    version: service.meta.version,
                    spec: Box::new(spec),
                    registry_auth_from: Default::default(),
                }
            }
            7 => {
                self.say(|| format!("remove {name}"));
                Command::RemoveService(service.id.clone())
            }
            8 => Command::RollBackService {
                service: service.id.clone(),
                version: service.meta.version,
            },
            _ => {
                let nodes: Vec<_> = self.manager.store.nodes().cloned().collect();
                let node = &nodes[self.rng.below(nodes.len() as u64) as usize];
                let availability = match self.rng.below(4) {
                    0 => Availability::Drain,
                    1 => Availability::Pause,
                    _ => Availability::Active,
                };
                self.say(|| format!("{} becomes {}", node.hostname(), availability.as_str()));
                set_availability(node, availability)
            }
        };
        // A service without a spec to return to refuses the roll back.
        let outcome = self.manager.command(command, self.now);
        if let Err(error) = outcome {
            assert!(error.to_string().contains("previous spec"), "{error}");
        }
    }

    fn create_service(&mut self) {
        let number = self.rng.below(1000);
        let name = format!("s{number}");
        if self.manager.store.service_by_name(&name).is_some() {
            return;
        }
        let mut spec = spec(&name, self.rng.below(15));
        if self.rng.chance(20) {
            spec.mode = ServiceMode::Global;
        }
        let task = Shared::make_mut(&mut spec.task);
        task.restart = Some(RestartPolicy {
            delay: Some(Duration::from_secs(self.rng.below(4))),
            ..RestartPolicy::default()
        });
        if self.rng.chance(30) {
            // 4 cores each: some of it will not fit.
            let nano_cpus = 1_000_000_000;
            let reservations = Some(Resources { nano_cpus, ..Resources::default() });
            task.resources = Some(ResourceRequirements { limits: None, reservations });
        }
        let spec = ServiceSpec { update: Some(self.update_config()), ..spec };
        self.say(|| format!("create {name} {:?}", spec.mode));
        self.manager.command(Command::CreateService(Box::new(spec)), self.now).unwrap();
    }

    fn update_config(&mut self) -> UpdateConfig {
        UpdateConfig {
            parallelism: self.rng.below(4),
            delay: Duration::from_secs(self.rng.below(3)),
            failure_action: match self.rng.below(3) {
                0 => FailureAction::Pause,
                1 => FailureAction::Continue,
                _ => FailureAction::Rollback,
            },
            monitor: Some(Duration::from_secs(self.rng.below(5))),
            max_failure_ratio: if self.rng.chance(50) { 0.0 } else { 0.3 },
            order: match self.rng.chance(30) {
                true => UpdateOrder::StartFirst,
                false => UpdateOrder::StopFirst,
            },
        }
    }

    /// Pauses a node, and updates every global service.
    pub(super) fn update_past_a_paused_node(&mut self) {
        let nodes: Vec<_> = self.manager.store.nodes().cloned().collect();
        let node = &nodes[self.rng.below(nodes.len() as u64) as usize];
        let pause = set_availability(node, Availability::Pause);
        self.manager.command(pause, self.now).unwrap();
        let services: Vec<_> = self.manager.store.services().cloned().collect();
        for service in services.iter().filter(|service| service.spec.mode == ServiceMode::Global) {
            let mut spec = service.spec.clone();
            Shared::make_mut(&mut spec.task).container.image = "image:paused".to_owned();
            spec.update = Some(self.update_config());
            let update = Command::UpdateService {
                service: service.id.clone(),
                version: service.meta.version,
                spec: Box::new(spec),
                registry_auth_from: Default::default(),
            };
            self.manager.command(update, self.now).unwrap();
        }
    }

    pub(super) fn activate_all_nodes(&mut self) {
        let nodes: Vec<_> = self.manager.store.nodes().cloned().collect();
        for node in nodes {
            let command = set_availability(&node, Availability::Active);
            self.manager.command(command, self.now).unwrap();
        }
    }
}

fn set_availability(node: &Node, availability: Availability) -> Command {
    Command::UpdateNode {
        node: node.id.clone(),
        version: node.meta.version,
        spec: NodeSpec { availability, ..node.spec.clone() },
    }
}
