//! Places the tasks of one group.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use shoal_model::swarm::Task;
use shoal_model::{SwarmNodeId, TaskId};

use super::candidate::{Candidate, Failures};
use super::filter::{self, Refusal};
use super::{group::Group, spread};
use crate::store::Store;

/// What was found for a task.
pub(super) enum Placement {
    On(TaskId, SwarmNodeId),
    Nowhere(TaskId, String),
}

/// A node in the order of preference: recent failures, tasks of the service,
/// tasks in all; the position settles the rest.
type Ranked = Reverse<(u32, u32, u32, usize)>;

/// Places the tasks of a group, taking what they need from the nodes.
pub(super) fn group(
    view: &Store,
    nodes: &mut [Candidate],
    group: &Group,
    failures: &Failures,
) -> Vec<Placement> {
    let mut on_node = tasks_of_service(view, nodes, group);
    let (bound, free): (Vec<_>, Vec<_>) =
        group.tasks.iter().partition(|task| task.node_id.is_some());
    let mut placements = Vec::with_capacity(group.tasks.len());
    for task in bound {
        placements.push(place_bound(nodes, &mut on_node, task));
    }
    let mut ranking = Ranking::new(nodes, &on_node, group.sample(), failures);
    let mut nowhere = None;
    for task in free {
        match ranking.next(nodes, &on_node, task) {
            Some(index) => {
                settle(nodes, &mut on_node, task, index);
                ranking.put_back(nodes, &on_node, index);
                placements.push(Placement::On(task.id.clone(), nodes[index].node.id.clone()));
            }
            None => {
                // The tasks have one spec, so what is true for one is true
                // for the rest.
                let why = nowhere.get_or_insert_with(|| why(nodes, &on_node, task));
                placements.push(Placement::Nowhere(task.id.clone(), why.clone()));
            }
        }
    }
    placements
}

/// How many tasks of the group's service are wanted on each node, by the
/// node's position.
fn tasks_of_service(view: &Store, nodes: &[Candidate], group: &Group) -> Vec<u32> {
    let positions: HashMap<_, _> =
        nodes.iter().enumerate().map(|(index, candidate)| (&candidate.node.id, index)).collect();
    let mut counts = vec![0; nodes.len()];
    let waiting = |task: &Task| task.status.state < shoal_model::swarm::TaskState::Assigned;
    for task in view.tasks_of_service(&group.service) {
        let wanted_here = task.is_wanted() && !waiting(task);
        if let Some(index) = task.node_id.as_ref().and_then(|node| positions.get(node))
            && wanted_here
        {
            counts[*index] += 1;
        }
    }
    counts
}

/// A task that belongs to its node (a global service's): there or nowhere.
fn place_bound(nodes: &mut [Candidate], on_node: &mut [u32], task: &Task) -> Placement {
    let index =
        nodes.iter().position(|candidate| task.node_id.as_ref() == Some(&candidate.node.id));
    let Some(index) = index else {
        return Placement::Nowhere(task.id.clone(), filter::explain(&[Refusal::NotReady]));
    };
    match filter::check(&nodes[index], task, on_node[index]) {
        Some(refusal) => Placement::Nowhere(task.id.clone(), filter::explain(&[refusal])),
        None => {
            settle(nodes, on_node, task, index);
            Placement::On(task.id.clone(), nodes[index].node.id.clone())
        }
    }
}

fn settle(nodes: &mut [Candidate], on_node: &mut [u32], task: &Task, index: usize) {
    nodes[index].tasks += 1;
    nodes[index].take(task);
    on_node[index] += 1;
}

fn why(nodes: &[Candidate], on_node: &[u32], task: &Task) -> String {
    let refusals: Vec<_> = nodes
        .iter()
        .zip(on_node)
        .filter_map(|(candidate, on_node)| filter::check(candidate, task, *on_node))
        .collect();
    filter::explain(&refusals)
}

/// The nodes that suit a spec, in order, by the values of its preferences
/// (one branch without).
struct Ranking<'a> {
    branches: BTreeMap<Vec<String>, BinaryHeap<Ranked>>,
    /// Tasks of the service per branch.
    tasks: BTreeMap<Vec<String>, u32>,
    branch_of: Vec<Vec<String>>,
    failures: &'a Failures,
}

impl<'a> Ranking<'a> {
    fn new(nodes: &[Candidate], on_node: &[u32], sample: &Task, failures: &'a Failures) -> Self {
        let preferences = sample.spec.placement.as_ref().map_or(&[][..], |p| &p.preferences);
        let mut ranking = Self {
            branches: BTreeMap::new(),
            tasks: BTreeMap::new(),
            branch_of: Vec::with_capacity(nodes.len()),
            failures,
        };
        for (index, candidate) in nodes.iter().enumerate() {
            let branch = spread::branch(preferences, &candidate.node);
            ranking.branch_of.push(branch.clone());
            *ranking.tasks.entry(branch).or_default() += on_node[index];
            if filter::suits(candidate, sample).is_none() {
                ranking.rank(nodes, on_node, index);
            }
        }
        ranking
    }

    fn rank(&mut self, nodes: &[Candidate], on_node: &[u32], index: usize) {
        let candidate = &nodes[index];
        let penalty = self.failures.penalty(&candidate.node.id);
        let rank = Reverse((penalty, on_node[index], candidate.tasks, index));
        self.branches.entry(self.branch_of[index].clone()).or_default().push(rank);
    }

    /// Takes the best node with room for the task out of the order. A node
    /// without room has none for the rest of the group, either.
    fn next(&mut self, nodes: &[Candidate], on_node: &[u32], task: &Task) -> Option<usize> {
        loop {
            let open = self.branches.iter().filter(|(_, heap)| !heap.is_empty());
            let branch = spread::choose(open.map(|(branch, _)| branch), &self.tasks)?;
            let Reverse((.., index)) = self.branches.get_mut(&branch)?.pop()?;
            if filter::has_room(&nodes[index], task, on_node[index]).is_none() {
                return Some(index);
            }
        }
    }

    /// Puts a node back after it got a task.
    fn put_back(&mut self, nodes: &[Candidate], on_node: &[u32], index: usize) {
        *self.tasks.entry(self.branch_of[index].clone()).or_default() += 1;
        self.rank(nodes, on_node, index);
    }
}
