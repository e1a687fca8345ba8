//! The socket through which links are changed: several changes in one
//! datagram, one answer each.

use std::{
    io::{self, IoSlice},
    os::fd::{BorrowedFd, OwnedFd},
};

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink,
};

use super::{
    change::Change,
    encode::{self, Lookup},
};

/// Room for the answers to one batch; each is the request's header and a
/// number, or the whole request when it failed.
const ANSWER_BYTES: usize = 16 * 1024;

/// A netlink socket; it belongs to the namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct LinkSocket {
    fd: OwnedFd,
    sequence: u32,
}

/// A change the kernel refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The change, as text.
    pub(crate) change: String,
    /// Why.
    pub(crate) error: io::Error,
}

impl LinkSocket {
    /// Opens a socket in the calling thread's namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // Protocol number 0: routes and links.
            None,
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Makes `changes`, all in one datagram; those after a refused one are
    /// tried, too.
    pub(crate) fn apply(
        &mut self,
        changes: &[Change],
        container: Option<BorrowedFd<'_>>,
    ) -> Result<(), Refused> {
        self.apply_unless(changes, container, |_| false)
    }

    /// As [`LinkSocket::apply`], for changes that may be done already.
    pub(crate) fn ensure(&mut self, changes: &[Change]) -> Result<(), Refused> {
        // Each alone: a later one needs the index of a link made before.
        changes.iter().try_for_each(|change| {
            self.apply_unless(std::slice::from_ref(change), None, |error| {
                matches!(error.kind(), io::ErrorKind::AlreadyExists)
            })
        })
    }

    fn apply_unless(
        &mut self,
        changes: &[Change],
        container: Option<BorrowedFd<'_>>,
        fine: impl Fn(&io::Error) -> bool,
    ) -> Result<(), Refused> {
        let first = self.sequence;
        let mut datagram = Vec::with_capacity(1024);
        for change in changes {
            let refused = |error| Refused { change: change.to_string(), error };
            let (message, flags) = encode::message(change, self, container).map_err(refused)?;
            self.push(&mut datagram, message, flags);
        }
        let whole = |error| Refused {
            change: changes.first().map(ToString::to_string).unwrap_or_default(),
            error,
        };
        let sent = rustix::net::sendmsg_addr(
            &self.fd,
            &SocketAddrNetlink::new(0, 0),
            &[IoSlice::new(&datagram)],
            &mut rustix::net::SendAncillaryBuffer::default(),
            SendFlags::empty(),
        );
        sent.map_err(|e| whole(e.into()))?;
        let answers = self.answers(first, changes.len()).map_err(whole)?;
        for (change, answer) in changes.iter().zip(answers) {
            match answer {
                Some(error) if !fine(&error) => {
                    return Err(Refused { change: change.to_string(), error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn push(&mut self, datagram: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.header.sequence_number = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        message.finalize();
        let start = datagram.len();
        datagram.resize((start + message.buffer_len()).next_multiple_of(4), 0);
        message.serialize(&mut datagram[start..]);
    }

    /// Waits for `count` answers, the first to the message numbered `first`.
    fn answers(&self, first: u32, count: usize) -> io::Result<Vec<Option<io::Error>>> {
        let mut answers: Vec<Option<Option<io::Error>>> = Vec::new();
        answers.resize_with(count, || None);
        let mut buffer = vec![0; ANSWER_BYTES];
        while answers.iter().any(Option::is_none) {
            let (_, length) = rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC)?;
            let mut rest = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                let step = (message.header.length as usize).next_multiple_of(4);
                let number = message.header.sequence_number.wrapping_sub(first) as usize;
                if let (NetlinkPayload::Error(answer), Some(slot)) =
                    (message.payload, answers.get_mut(number))
                {
                    *slot = Some(
                        answer
                            .code
                            .map(|code| io::Error::from_raw_os_error(code.get().saturating_neg())),
                    );
                }
                rest = rest.get(step..).unwrap_or_default();
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

impl Lookup for LinkSocket {
    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.fd, name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_sys::netns;

    #[test]
    fn a_batch_is_answered_one_by_one() {
        let (_ns, ()) = netns::create_with(|_| {
            let mut socket = LinkSocket::open().unwrap();
            let bridge = || Change::AddBridge {
                name: "br0".into(),
                mac: crate::MacAddr([2, 0, 0, 0, 0, 1]),
                mtu_bytes: 1500,
            };
            socket.ensure(&[bridge(), bridge(), Change::Up { link: "br0".into() }]).unwrap();
            assert!(socket.index("br0").unwrap() > 1);
            let refused = socket
                .apply(&[Change::Delete { link: "br0".into() }, bridge(), bridge()], None)
                .unwrap_err();
            assert_eq!(refused.error.kind(), io::ErrorKind::AlreadyExists);
            assert!(refused.change.starts_with("link add br0"));
            let missing = socket.apply(&[Change::Up { link: "none0".into() }], None).unwrap_err();
            assert_eq!(missing.error.raw_os_error(), Some(19), "{:?}", missing.error);
        })
        .unwrap();
    }
}
