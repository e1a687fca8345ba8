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
            if change.restart_policy.is_some() {
                // It may go by what was not synced yet.
                containers.save_state(&container).await;
            }
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
    let over = |(memory, swap): (u64, i64)| swap > 0 && memory > swap.unsigned_abs();
    if memory_swap_bytes.is_none() && memory_bytes.zip(old.memory_swap_bytes).is_some_and(over) {
        return Err(ContainerError::Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the \
             memoryswap at the same time"
                .into(),
        ));
    }
    let text = |new: String, old: &String| if new.is_empty() { old.clone() } else { new };
    let mut changed = Resources {
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
    };
    changed.say_swap();
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_below_memory_and_swap() {
        let memory = |bytes, swap| Resources {
            memory_bytes: Some(bytes),
            memory_swap_bytes: swap,
            ..Resources::default()
        };
        let mut old = memory(50 << 20, None);
        old.say_swap();
        assert_eq!(old.memory_swap_bytes, Some(100 << 20));
        assert_eq!(changed(&old, &memory(80 << 20, None)).unwrap().memory_bytes, Some(80 << 20));
        let error = changed(&old, &memory(200 << 20, None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Memory limit should be smaller than already set memoryswap limit, update the \
             memoryswap at the same time"
        );
        let both = changed(&old, &memory(200 << 20, Some(300 << 20))).unwrap();
        assert_eq!(both.memory_swap_bytes, Some(300 << 20));
        let first = changed(&Resources::default(), &memory(10 << 20, None)).unwrap();
        assert_eq!(first.memory_swap_bytes, Some(20 << 20));
        let endless = memory(50 << 20, Some(-1));
        assert!(changed(&endless, &memory(200 << 20, None)).is_ok());
    }

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
