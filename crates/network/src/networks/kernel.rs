//! Doing what the plans say. Everything here blocks and belongs on a blocking
//! thread of the node's network namespace.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, MutexGuard},
};

use shoal_model::Classify as _;
use shoal_sys::netns;

use crate::{
    NetworkError, Result,
    bridge::Bridge,
    dns::server::Sockets,
    link::{
        change::Change,
        encode::Lookup,
        plan::{self, EndpointPlan},
        socket::{LinkSocket, Refused},
    },
    sysctl,
};

/// The kernel, as seen from the node's namespace.
#[derive(Debug)]
pub(super) struct Kernel {
    links: Mutex<LinkSocket>,
}

/// An endpoint to be made, with where.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) network_name: String,
    pub(super) bridge: std::sync::Arc<Bridge>,
    pub(super) plan: EndpointPlan,
}

/// A namespace made for a container.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) namespace: OwnedFd,
    pub(super) sockets: Option<Sockets>,
}

impl Kernel {
    /// Opens the way to the kernel from the calling thread's namespace.
    pub(super) fn open() -> Result<Self> {
        let links =
            LinkSocket::open().map_err(|e| NetworkError::system("open a netlink socket", e))?;
        Ok(Self { links: Mutex::new(links) })
    }

    /// Brings a bridge to what it should be, from whatever is there.
    pub(super) fn ensure_bridge(&self, bridge: &Bridge) -> Result<()> {
        self.lock().ensure(&plan::bridge(bridge)).map_err(refused)?;
        sysctl::route_localnet(&bridge.link)?;
        sysctl::disable_ipv6(&bridge.link).map_err(|e| {
            NetworkError::system(format!("turn off IPv6 on bridge {}", bridge.link), e)
        })
    }

    /// Whether a link is there.
    pub(super) fn has_link(&self, name: &str) -> bool {
        self.lock().index(name).is_ok()
    }

    /// Removes a link; one that is not there is fine.
    pub(super) fn delete_link(&self, name: &str) -> Result<()> {
        match self.lock().apply(&[Change::Delete { link: name.into() }], None) {
            Err(missing) if is_missing(&missing.error) => Ok(()),
            Err(other) => Err(refused(other)),
            Ok(()) => Ok(()),
        }
    }

    /// Makes a namespace with its loopback device and `steps`; with `dns`, the
    /// sockets of the embedded resolver, too. On an error nothing is left: what
    /// is inside ends with the namespace.
    pub(super) fn build(&self, steps: &[Step], dns: bool) -> Result<Built> {
        self.ensure_bridges(steps)?;
        let filtered = sysctl::bridges_are_filtered();
        let work = |namespace: BorrowedFd<'_>| -> Result<Option<Sockets>> {
            sysctl::disable_ipv6_for_new_links()
                .map_err(|e| NetworkError::system("turn off IPv6 in a namespace", e))?;
            let mut inside = open_inside()?;
            let mut changes = vec![Change::Up { link: "lo".into() }];
            for step in steps {
                changes.extend(self.outside(step, namespace, filtered)?);
            }
            inside.apply(&changes, None).map_err(refused)?;
            if dns { open_sockets(true).map(Some) } else { Ok(None) }
        };
        let (namespace, sockets) = netns::create_with(work)
            .map_err(|e| NetworkError::system("create a network namespace", e))?;
        Ok(Built { namespace, sockets: sockets? })
    }

    /// Adds an endpoint to a namespace in use. On an error the endpoint is
    /// gone.
    pub(super) fn join(&self, namespace: BorrowedFd<'_>, step: &Step) -> Result<()> {
        self.ensure_bridges(std::slice::from_ref(step))?;
        let filtered = sysctl::bridges_are_filtered();
        let work = || -> Result<()> {
            let changes = self.outside(step, namespace, filtered)?;
            open_inside()?.apply(&changes, None).map_err(refused)
        };
        enter(namespace, work).inspect_err(|_| {
            if let Err(error) = self.delete_link(&step.plan.host_link) {
                tracing::warn!(error = %error.chain(), link = step.plan.host_link, "link left behind");
            }
        })
    }

    /// Adds the default route to a namespace in use.
    pub(super) fn add_default_route(&self, namespace: BorrowedFd<'_>, at: Change) -> Result<()> {
        enter(namespace, || open_inside()?.apply(&[at], None).map_err(refused))
    }

    /// Opens the embedded resolver's sockets in a namespace in use.
    pub(super) fn open_sockets(&self, namespace: BorrowedFd<'_>) -> Result<Sockets> {
        enter(namespace, || open_sockets(false))
    }

    /// Does the node's part of a step; what is left to do inside is returned.
    fn outside(
        &self,
        step: &Step,
        namespace: BorrowedFd<'_>,
        filtered: bool,
    ) -> Result<Vec<Change>> {
        let (outside, inside) = plan::endpoint(&step.plan, &step.bridge, filtered);
        match self.lock().apply(&outside, Some(namespace)) {
            Ok(()) => Ok(inside),
            Err(refused) if is_full(&refused.error) => {
                Err(NetworkError::BridgeFull(step.network_name.clone()))
            }
            Err(other) => Err(refused(other)),
        }
    }

    /// Makes bridges again that somebody removed behind our back.
    fn ensure_bridges(&self, steps: &[Step]) -> Result<()> {
        let mut missing = steps.iter().filter(|step| !self.has_link(&step.bridge.link));
        missing.try_for_each(|step| self.ensure_bridge(&step.bridge))
    }

    fn lock(&self) -> MutexGuard<'_, LinkSocket> {
        self.links.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn enter<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    netns::enter(namespace.as_fd(), work)
        .map_err(|e| NetworkError::system("enter a container's network namespace", e))?
}

fn open_inside() -> Result<LinkSocket> {
    LinkSocket::open().map_err(|e| NetworkError::system("open a netlink socket in a namespace", e))
}

fn open_sockets(fresh: bool) -> Result<Sockets> {
    Sockets::open(fresh).map_err(|e| NetworkError::system("open the embedded resolver", e))
}

fn refused(refused: Refused) -> NetworkError {
    NetworkError::system(refused.change, refused.error)
}

fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

/// The kernel's word for "no port number left".
fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::XFULL.raw_os_error())
}
