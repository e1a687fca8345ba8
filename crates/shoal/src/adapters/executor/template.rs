//! Templates in a service's spec: `{{.Node.Hostname}}`, `{{.Task.Slot}}`, ….

use serde_json::{Value, json};
use shoal_model::Platform;
use shoal_model::swarm::{NodeDescription, Task};

use crate::print::Template;

/// What templates of a task may name.
pub(super) struct Context(Value);

impl Context {
    /// The facts of a task on this node.
    pub(super) fn new(task: &Task, node: &NodeDescription) -> Self {
        let platform = node.platform.clone().unwrap_or_else(Platform::host);
        Self(json!({
            "Service": {
                "ID": task.service_id.as_str(),
                "Name": task.service_annotations.name,
                "Labels": task.service_annotations.labels,
            },
            "Node": {
                "ID": task.node_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
                "Hostname": node.hostname,
                "Platform": { "OS": platform.os, "Architecture": platform.architecture },
            },
            "Task": {
                "ID": task.id.as_str(),
                "Name": task.name(),
                // A global service has no slots: there the node stands for it.
                "Slot": match task.slot {
                    0 => json!(task.node_id.as_ref().map(|id| id.as_str()).unwrap_or_default()),
                    slot => json!(slot),
                },
            },
        }))
    }

    /// Fills a text in; `what` says in the error what it is of.
    ///
    /// # Errors
    /// When it is no template, or names what is not there.
    pub(super) fn fill(&self, what: &str, text: &str) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let filled = Template::parse(text).and_then(|template| template.render(&self.0));
        filled.map_err(|error| format!("expanding {what} failed: {text:?}: {error:#}"))
    }
}
