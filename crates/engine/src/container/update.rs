//! Changes containers' limits and restart policy.

use shoal_runtime::protocol::Operation;

use super::{Containers, check};
use crate::domain::{Resources, RestartPolicy, UpdateContainer, Updated};
use crate::error::ContainerError;
use crate::spec;

impl Containers {
    /// Changes limits and restart policy, of a running container, too.
    ///
    /// # Errors
    /// A limit that makes no sense or that the kernel refuses.
    pub async fn update(
        &self,
        name: &str,
        change: UpdateContainer,
    ) -> Result<Updated, ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            let mut record = (*container.record()).clone();
            record.host.resources = changed(&record.host.resources, &change.resources)?;
            let machine = containers.node.machine();
            let warnings = check::check_resources(&record.host.resources, machine)?;
            if let Some(policy) = change.restart_policy {
                if record.host.auto_remove && policy != RestartPolicy::No {
                    return Err(ContainerError::Conflict(
                        "Restart policy cannot be updated because AutoRemove is enabled for the container".into(),
                    ));
                }
                record.host.restart_policy = policy;
            }
            let limits = spec::limits(&record.host.resources);
            if container.state.borrow().phase.has_process()
                && change.resources != Resources::default()
            {
                containers.ask(&container, Operation::Update(Box::new(limits))).await?;
            }
            containers.save_record(&container, record).await?;
            containers.publish(&container.record(), "update", &[]);
            Ok(Updated { warnings })
        };
        self.node.tasks.finish(work).await
    }
}

/// The old limits with what is set in the new ones.
fn changed(old: &Resources, new: &Resources) -> Result<Resources, ContainerError> {
    // Destructured, so that a new limit cannot be forgotten here.
    let Resources {
        memory_bytes,
        memory_swap_bytes,
        memory_reservation_bytes,
        memory_swappiness,
        nano_cpus,
        cpu_shares,
        cpu_quota_us,
        cpu_period_us,
        cpuset_cpus,
        cpuset_mems,
        pids_limit,
        ulimits,
        devices,
        device_cgroup_rules,
        cgroup_parent,
    } = new.clone();
    if !ulimits.is_empty()
        || !devices.is_empty()
        || !device_cgroup_rules.is_empty()
        || cgroup_parent.is_some()
    {
        return Err(ContainerError::Unsupported(
            "changing ulimits, devices or the parent of the cgroup of a container".into(),
        ));
    }
    let text = |new: String, old: &String| if new.is_empty() { old.clone() } else { new };
    Ok(Resources {
        memory_bytes: memory_bytes.or(old.memory_bytes),
        memory_swap_bytes: memory_swap_bytes.or(old.memory_swap_bytes),
        memory_reservation_bytes: memory_reservation_bytes.or(old.memory_reservation_bytes),
        memory_swappiness: memory_swappiness.or(old.memory_swappiness),
        nano_cpus: nano_cpus.or(old.nano_cpus),
        cpu_shares: cpu_shares.or(old.cpu_shares),
        cpu_quota_us: cpu_quota_us.or(old.cpu_quota_us),
        cpu_period_us: cpu_period_us.or(old.cpu_period_us),
        cpuset_cpus: text(cpuset_cpus, &old.cpuset_cpus),
        cpuset_mems: text(cpuset_mems, &old.cpuset_mems),
        pids_limit: pids_limit.or(old.pids_limit),
        ..old.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let old =
            Resources { memory_bytes: Some(1), cpuset_cpus: "0".into(), ..Resources::default() };
        let new = Resources { nano_cpus: Some(5), ..Resources::default() };
        let after = changed(&old, &new).unwrap();
        assert_eq!((after.memory_bytes, after.nano_cpus), (Some(1), Some(5)));
        assert_eq!(after.cpuset_cpus, "0");
        let rules = Resources { device_cgroup_rules: vec!["a".into()], ..Resources::default() };
        assert!(changed(&old, &rules).is_err());
    }
}
