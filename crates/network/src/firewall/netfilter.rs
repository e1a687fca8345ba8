//! Messages of the kernel's netfilter subsystems as bytes
//! (`linux/netfilter/nfnetlink.h`), and the socket they go over.

use std::{
    io::{self, IoSlice},
    os::fd::OwnedFd,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
    netlink::SocketAddrNetlink,
};

// Flags of messages.
const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const CREATE: u16 = 0x400;
/// All there is, not one.
pub(super) const DUMP: u16 = 0x300;
// Types of messages.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// What is a kind in the kind of an attribute; the rest is marks.
const KIND_MASK: u16 = 0x3fff;

const HEADER_BYTES: usize = 16;
/// Family, version and a number before the attributes.
const FAMILY_BYTES: usize = 4;
/// The kernel fills datagrams up to the size of the reader's buffer, and never
/// needs more than this for one.
const DATAGRAM_BYTES: usize = 32 * 1024;

/// The body of a message.
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    /// The empty body of a message about IPv4.
    pub(super) fn of_ipv4() -> Self {
        Self(vec![2, 0, 0, 0])
    }

    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.put(kind, &[value.as_bytes(), &[0]].concat());
    }

    /// Numbers are in network order here.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self(Vec::new());
        fill(&mut inner);
        self.put_nested(kind, &inner.0);
    }

    /// Attributes that are bytes already.
    pub(super) fn put_nested(&mut self, kind: u16, inner: &[u8]) {
        self.put(kind | NESTED, inner);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Puts a message behind others.
pub(super) fn push(to: &mut Vec<u8>, kind: u16, flags: u16, number: u32, body: &[u8]) {
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend((REQUEST | flags).to_ne_bytes());
    to.extend(number.to_ne_bytes());
    to.extend([0; 4]);
    to.extend(body);
}

/// The attributes in `bytes`, with their kinds; what is broken ends them.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?);
        let value = bytes.get(4..usize::from(length))?;
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND_MASK, value))
    })
}

/// The first attribute of a kind.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// A socket to netfilter in the namespace of the thread that opened it.
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(fd))
    }

    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        rustix::net::sendmsg_addr(
            &self.0,
            &SocketAddrNetlink::new(0, 0),
            &[IoSlice::new(datagram)],
            &mut rustix::net::SendAncillaryBuffer::default(),
            SendFlags::empty(),
        )?;
        Ok(())
    }

    /// Waits until `count` messages are said to be fine; the first that is not
    /// is the error.
    pub(super) fn wait_for_answers(&self, count: u32) -> io::Result<()> {
        let mut fine = 0;
        while fine < count {
            self.receive(|kind, body| {
                if kind == ERROR {
                    answer(body)?;
                    fine += 1;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Gives every message of a dump to `each`, without what comes before the
    /// attributes.
    pub(super) fn read_dump(&self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut done = false;
        while !done {
            self.receive(|kind, body| {
                match kind {
                    DONE => done = true,
                    ERROR => answer(body)?,
                    _ => each(body.get(FAMILY_BYTES..).unwrap_or_default()),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn receive(&self, mut each: impl FnMut(u16, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        let (_, length) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::TRUNC)?;
        let mut rest = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
        while !rest.is_empty() {
            let length = u32_at(rest, 0).ok_or(io::ErrorKind::InvalidData)? as usize;
            let kind = u16_at(rest, 4).ok_or(io::ErrorKind::InvalidData)?;
            each(kind, rest.get(HEADER_BYTES..length).ok_or(io::ErrorKind::InvalidData)?)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

/// What an answer says: nothing, or an error.
fn answer(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).ok_or(io::ErrorKind::InvalidData)?.cast_signed() {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back() {
        let mut body = Attributes(Vec::new());
        body.text(1, "ab");
        body.nested(4, |inner| inner.number(2, 7));
        let bytes = body.bytes();
        assert_eq!(attribute(bytes, 1), Some(&b"ab\0"[..]));
        let inner = attribute(bytes, 4).unwrap();
        assert_eq!(attribute(inner, 2), Some(&[0, 0, 0, 7][..]));
        assert_eq!(attribute(bytes, 9), None);
    }

    #[test]
    fn broken_attributes_end() {
        for bytes in [&[][..], &[3, 0], &[3, 0, 1, 0], &[200, 0, 1, 0, 1], &[0; 16]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }
}
