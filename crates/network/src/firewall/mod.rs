//! The firewall and address translation of the node's bridges: one nftables
//! table of our own, `ip shoal`. [`rules`] says what is in it, [`apply`] puts
//! it there.

pub(crate) mod apply;
mod flows;
mod netfilter;
pub(crate) mod redirect;
pub(crate) mod rules;
