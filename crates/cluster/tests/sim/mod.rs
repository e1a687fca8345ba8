//! The simulated world: one manager, its agents, the network between them,
//! and a user who changes their mind.

mod agent;
mod invariants;
mod manager;
mod user;

use std::{collections::BTreeMap, time::Duration};

use shoal_cluster::Rng;
use shoal_model::{SwarmNodeId, Timestamp};

use crate::test_cluster::{at, node_id};
use agent::Agent;
use manager::Manager;

/// One step of simulated time.
const STEP: Duration = Duration::from_millis(500);
/// Time to heal in: a node may have to be found down, and updates to end.
const HEAL_STEPS: usize = 4000;

/// How often something goes wrong, in thousandths per step (and node, where
/// it concerns one).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// A running program ends by itself.
    pub(crate) crash: u64,
    /// Preparing or starting fails.
    pub(crate) refuse: u64,
    /// A node cannot be reached for a while.
    pub(crate) cut: u64,
    /// A node's stream breaks.
    pub(crate) stream_break: u64,
    /// A node's daemon restarts; its containers go on.
    pub(crate) agent_restart: u64,
    /// A machine loses power; its containers end.
    pub(crate) power_loss: u64,
    /// The manager restarts from its snapshot, in the middle of a plan.
    pub(crate) manager_restart: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        crash: 0,
        refuse: 0,
        cut: 0,
        stream_break: 0,
        agent_restart: 0,
        power_loss: 0,
        manager_restart: 0,
    };
    pub(crate) const ALL: Self = Self {
        crash: 4,
        refuse: 30,
        cut: 4,
        stream_break: 10,
        agent_restart: 4,
        power_loss: 2,
        manager_restart: 8,
    };
}

/// Everything there is.
pub(crate) struct World {
    now: Timestamp,
    rng: Rng,
    faults: Faults,
    manager: Manager,
    agents: BTreeMap<SwarmNodeId, Agent>,
    invariants: invariants::Invariants,
    talk: bool,
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize, faults: Faults) -> Self {
        let names: Vec<_> = (0..nodes).map(|number| format!("n{number}")).collect();
        let mut rng = Rng::from_seed(seed);
        let manager = Manager::new(&names, rng.next_u64());
        let agents = names.iter().map(|name| (node_id(name), Agent::new(node_id(name)))).collect();
        Self {
            now: at(0),
            rng,
            faults,
            manager,
            agents,
            invariants: Default::default(),
            talk: std::env::var("SHOAL_SEED").is_ok(),
        }
    }

    /// Half a second: the user, the faults, the manager, the agents.
    pub(crate) fn step(&mut self) {
        if self.rng.chance(8) {
            self.user();
        }
        self.break_things();
        self.tick();
    }

    fn tick(&mut self) {
        self.now = self.now + STEP;
        let restarts = self.rng.below(1000) < self.faults.manager_restart;
        let events = self.manager.tick(self.now, restarts.then(|| self.rng.below(4)));
        self.invariants.watch(&events, &self.manager.store);
        for agent in self.agents.values_mut() {
            agent.tick(&mut self.manager, self.now, &mut self.rng, &self.faults);
        }
        self.invariants.watch(&self.manager.take_events(), &self.manager.store);
        self.invariants.check(&self.manager.store, &self.agents);
    }

    fn break_things(&mut self) {
        for agent in self.agents.values_mut() {
            let mut happens = |per_mille| self.rng.below(1000) < per_mille;
            let (cut, breaks, restarts, power) = (
                happens(self.faults.cut),
                happens(self.faults.stream_break),
                happens(self.faults.agent_restart),
                happens(self.faults.power_loss),
            );
            if cut {
                // From a moment to well beyond the grace.
                let length = Duration::from_secs(1 + self.rng.below(45));
                agent.cut_until(self.now + length);
            }
            if breaks {
                agent.lose_session();
            }
            if restarts {
                agent.restart_daemon();
            }
            if power {
                agent.lose_power();
            }
        }
    }

    /// No more faults, no more wishes: the cluster must come to rest in the
    /// state that was last asked for.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::NONE;
        for agent in self.agents.values_mut() {
            agent.cut_until(self.now);
        }
        self.activate_all_nodes();
        self.rest();
        // A node that is paused goes on as it is, and holds up nothing.
        self.update_past_a_paused_node();
        self.rest();
        self.activate_all_nodes();
        self.rest();
    }

    fn rest(&mut self) {
        let mut reason = String::new();
        for _ in 0..HEAL_STEPS {
            self.tick();
            match self.at_rest() {
                Ok(()) => return,
                Err(why) => reason = why,
            }
        }
        panic!("does not heal: {reason}\n{}", self.picture());
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.talk {
            eprintln!("{} {}", self.now, text());
        }
    }
}
