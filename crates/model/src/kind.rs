//! What sort of failure an error is, without saying how a door shows it.

/// The closed set of failures. A front door maps each to its own status
/// (one table per door); nothing below a door knows about HTTP or gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The request itself is wrong; repeating it cannot help.
    Invalid,
    /// The request is right but clashes with what is there now.
    Conflict,
    /// The object already is what was asked for.
    NotModified,
    /// The caller may not do this, whoever they say they are.
    Forbidden,
    /// The caller has not shown who they are.
    Unauthorized,
    /// Something that is needed cannot be reached or is full; try later.
    Unavailable,
    /// Understood, and not built.
    NotImplemented,
    /// Our own fault, or the machine's.
    Internal,
}

/// An error that knows what sort of failure it is.
pub trait Classify: std::error::Error {
    /// The sort of failure.
    fn kind(&self) -> Kind;

    /// The message with every cause behind it, joined by `: `.
    fn chain(&self) -> String
    where
        Self: Sized,
    {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
