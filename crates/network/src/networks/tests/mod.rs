//! The promises to users, each kept by a real kernel: a node in a network
//! namespace of its own, a second host on its LAN, containers between.

mod harness;
mod isolation;
mod life;
mod names;
mod publish;
mod restart;
