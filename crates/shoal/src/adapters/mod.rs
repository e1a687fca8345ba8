//! Where one crate's wish meets another crate's ability: the traits of the
//! cluster and the build, implemented on the engine.

mod build_worker;
mod executor;
#[cfg(test)]
mod test_machine;

pub(crate) use build_worker::Builds;
pub(crate) use executor::EngineExecutor;
