//! Why a manager cannot be talked to, in words for people: the texts of libraries name neither
//! the manager nor what is wrong.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::error::NodeError;

/// What a call to the manager at `addr` has failed with: the manager's refusal, or why it could
/// not be reached.
pub(super) fn failed(addr: &str, status: &tonic::Status) -> NodeError {
    match is_transport(status) {
        true => NodeError::Unreachable { addrs: addr.to_owned(), why: why(status) },
        false => NodeError::refused(status),
    }
}

/// Whether the failure is the road's and not the manager's: what a peer answers has no source.
fn is_transport(status: &tonic::Status) -> bool {
    status.source().is_some() || status.code() == tonic::Code::Unavailable
}

/// The first cause there are words for.
fn why(status: &tonic::Status) -> String {
    if status.source().is_none() {
        return status.message().to_owned();
    }
    let mut causes = std::iter::successors(status.source(), |&cause| cause.source());
    causes.find_map(in_words).unwrap_or_else(|| "the connection broke".to_owned())
}

fn in_words(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return Some(of_io(error));
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    cause.is::<tonic::TimeoutExpired>().then(|| "no answer in time".to_owned())
}

fn of_io(error: &io::Error) -> String {
    use io::ErrorKind as K;
    // What an error of this kind carries is no source of it.
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return of_tls(tls);
    }
    let words = match error.kind() {
        K::ConnectionRefused => "connection refused",
        K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe => {
            "the connection was closed"
        }
        K::TimedOut => "no answer in time",
        K::HostUnreachable => "no route to host",
        K::NetworkUnreachable => "network is unreachable",
        _ => return error.to_string(),
    };
    words.to_owned()
}

fn of_tls(error: &rustls::Error) -> String {
    let words = match error {
        // All clusters' roots have the same subject: what a foreign one signed is badly signed.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "its certificate is of another cluster",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired",
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid yet: compare the clocks",
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "it says that this node's certificate has expired"
        }
        rustls::Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it says that this node's certificate is of another cluster"
        }
        other => return format!("TLS: {other}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: impl Error + Send + Sync + 'static) -> String {
        failed("10.0.0.1:2377", &tonic::Status::from_error(Box::new(error))).to_string()
    }

    #[test]
    fn what_is_wrong_with_the_road_is_said_and_which() {
        let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "see https://docs.rs/rustls");
        let before = "could not reach a manager at 10.0.0.1:2377: ";
        assert_eq!(text(closed), format!("{before}the connection was closed"));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(text(refused), format!("{before}connection refused"));
        let foreign = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let foreign = io::Error::new(io::ErrorKind::InvalidData, foreign);
        assert_eq!(text(foreign), format!("{before}its certificate is of another cluster"));
        let other = std::fmt::Error;
        assert_eq!(text(other), format!("{before}the connection broke"));
    }

    #[test]
    fn what_a_manager_answers_is_a_refusal() {
        let status = tonic::Status::permission_denied("no such token");
        let text = failed("10.0.0.1:2377", &status).to_string();
        assert_eq!(text, "rpc error: code = PermissionDenied desc = no such token");
        let status = tonic::Status::unavailable("stopping");
        let text = failed("10.0.0.1:2377", &status).to_string();
        assert_eq!(text, "could not reach a manager at 10.0.0.1:2377: stopping");
    }
}
