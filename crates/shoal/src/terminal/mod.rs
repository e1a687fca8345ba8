//! The person's terminal: raw mode, its size, a session with a container.

mod raw;
mod session;
mod signals;

pub(crate) use raw::{RawMode, hide_input, is_terminal, size};
pub(crate) use session::{End, Session};
pub(crate) use signals::{forward_signals, resize_on_change};
