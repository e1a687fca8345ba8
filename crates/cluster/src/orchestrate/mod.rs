//! What each service needs now.

pub(crate) mod global {
    pub(crate) fn run(_: &mut crate::pass::Work<'_>, _: &shoal_model::swarm::Service) {}
}
pub(crate) mod replicated {
    pub(crate) fn run(_: &mut crate::pass::Work<'_>, _: &shoal_model::swarm::Service, _: u64) {}
}
pub(crate) mod orphan {
    pub(crate) fn run(_: &mut crate::pass::Work<'_>) {}
}
pub(crate) mod reap {
    pub(crate) fn without_service(_: &mut crate::pass::Work<'_>) {}
}
