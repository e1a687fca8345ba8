//! What a service's spec means where it says nothing: SwarmKit's `api/defaults`.

use shoal_model::swarm::{
    ContainerSpec, RestartPolicy, ServiceSpec, Shared, TaskSpec, UpdateConfig,
};

/// The spec with everything said (`insertDefaults`).
pub(crate) fn with_defaults(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    insert_task(Shared::make_mut(&mut spec.task));
    for config in [&mut spec.update, &mut spec.rollback] {
        let config = config.get_or_insert_default();
        config.monitor.get_or_insert(UpdateConfig::DEFAULT_MONITOR);
    }
    spec
}

fn insert_task(task: &mut TaskSpec) {
    task.container.stop_grace_period.get_or_insert(ContainerSpec::DEFAULT_STOP_GRACE_PERIOD);
    task.container.dns.get_or_insert_default();
    task.resources.get_or_insert_default();
    task.placement.get_or_insert_default();
    let restart = task.restart.get_or_insert_default();
    restart.delay.get_or_insert(RestartPolicy::DEFAULT_DELAY);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::super::wire::{At, Wire};
    use super::super::{ServiceDocument, render_service_spec};
    use super::*;

    #[test]
    fn a_silent_spec_gets_dockers_values() {
        let document = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "i"}}});
        let document = ServiceDocument::read(document, &At::ROOT).expect("a document");
        let spec = document.into_domain(&str::to_owned).expect("a spec");
        let shown = render_service_spec(&with_defaults(&spec));
        let task = &shown["TaskTemplate"];
        assert_eq!(task["ContainerSpec"]["StopGracePeriod"], 10_000_000_000_u64);
        assert_eq!(task["ContainerSpec"]["DNSConfig"], json!({}));
        assert_eq!(
            task["RestartPolicy"],
            json!({"Condition": "any", "Delay": 5_000_000_000_u64, "MaxAttempts": 0})
        );
        assert_eq!((&task["Resources"], &task["Placement"]), (&json!({}), &json!({})));
        let update = json!({
            "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000_u64,
            "MaxFailureRatio": 0.0, "Order": "stop-first",
        });
        assert_eq!((&shown["UpdateConfig"], &shown["RollbackConfig"]), (&update, &update));
    }

    #[test]
    fn what_is_said_stays() {
        let document = json!({
            "TaskTemplate": {
                "ContainerSpec": {"Image": "i", "StopGracePeriod": 7},
                "RestartPolicy": {"Condition": "none"},
            },
            "UpdateConfig": {"Parallelism": 3, "Order": "start-first"},
        });
        let document = ServiceDocument::read(document, &At::ROOT).expect("a document");
        let spec = with_defaults(&document.into_domain(&str::to_owned).expect("a spec"));
        assert_eq!(spec.task.container.stop_grace_period, Some(Duration::from_nanos(7)));
        let restart = spec.task.restart.as_ref().expect("a policy");
        assert_eq!((restart.condition.as_str(), restart.delay()), ("none", Duration::from_secs(5)));
        let update = spec.update.expect("a roll-out");
        assert_eq!((update.parallelism, update.order.as_str()), (3, "start-first"));
        assert_eq!(update.monitor, Some(Duration::from_secs(5)));
    }
}
