//! Placement preferences: evenly over the values of labels.

use std::collections::BTreeMap;

use shoal_model::swarm::{Node, PlacementPreference};

/// The node's value for each preference, outermost first. A label that is not
/// there is a value like any other.
pub(super) fn branch(preferences: &[PlacementPreference], node: &Node) -> Vec<String> {
    preferences.iter().map(|preference| value(preference, node)).collect()
}

fn value(preference: &PlacementPreference, node: &Node) -> String {
    let PlacementPreference::Spread { descriptor } = preference;
    let after = |prefix: &str| {
        let head = descriptor.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| &descriptor[prefix.len()..])
    };
    let engine = node.description.as_ref().map(|description| &description.engine.labels);
    let found = match (after("node.labels."), after("engine.labels.")) {
        (Some(label), _) => node.spec.annotations.labels.get(label),
        (None, Some(label)) => engine.and_then(|labels| labels.get(label)),
        (None, None) => None,
    };
    found.cloned().unwrap_or_default()
}

/// The branch a task should go to: at each level the value with the fewest
/// tasks, among branches that still have a node with room.
pub(super) fn choose<'a>(
    open: impl Iterator<Item = &'a Vec<String>>,
    tasks: &BTreeMap<Vec<String>, u32>,
) -> Option<Vec<String>> {
    let mut open: Vec<&Vec<String>> = open.collect();
    let levels = open.first()?.len();
    for level in 0..levels {
        let count = |branch: &Vec<String>| {
            let prefix = &branch[..=level];
            tasks
                .iter()
                .filter(|(other, _)| other.starts_with(prefix))
                .map(|(_, count)| *count)
                .sum::<u32>()
        };
        let best = open.iter().min_by_key(|branch| count(branch))?[..=level].to_vec();
        open.retain(|branch| branch.starts_with(&best));
    }
    open.first().map(|branch| (*branch).clone())
}
