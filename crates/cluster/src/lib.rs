//! The pure core of the cluster: store, orchestration, scheduling, dispatch
