//! Names: the table of who is called what in which network, the embedded
//! resolver that answers from it, and the files a container finds its
//! resolver by.

pub(crate) mod answer;
pub(crate) mod files;
pub(crate) mod forward;
pub(crate) mod names;
pub(crate) mod server;
