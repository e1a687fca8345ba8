//! Says when files in a directory have changed: one inotify instance for all logs that
//! are being followed (the kernel allows a user 128 instances, and many watches).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::node::Tasks;

/// Room for events per read; they are small and say little.
const EVENT_BYTES: usize = 4096;

/// All directories that are being watched.
#[derive(Debug)]
pub(crate) struct LogWatch {
    inotify: Arc<AsyncFd<OwnedFd>>,
    watched: Arc<Mutex<Watched>>,
}

/// Listeners by watch descriptor.
type Watched = HashMap<i32, watch::Sender<()>>;

/// One listener's interest in one directory; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Subscription {
    changes: watch::Receiver<()>,
    descriptor: i32,
    inotify: Arc<AsyncFd<OwnedFd>>,
    watched: Arc<Mutex<Watched>>,
}

impl LogWatch {
    /// Opens the instance and the task that reads it.
    pub(crate) fn open(tasks: &Tasks) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd keeps what that asks")]
        let inotify = Arc::new(AsyncFd::new(fd)?);
        let watched: Arc<Mutex<Watched>> = Arc::default();
        tasks.spawn(run(inotify.clone(), watched.clone(), tasks.closing.clone()));
        Ok(LogWatch { inotify, watched })
    }

    /// Begins to watch a directory.
    pub(crate) fn subscribe(&self, dir: &Path) -> io::Result<Subscription> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        // Locked over both steps: the same directory has the same descriptor, and
        // the last listener's leaving must not take it from a new one.
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = inotify::add_watch(self.inotify.get_ref(), dir, flags)?;
        let changes = watched.entry(descriptor).or_default().subscribe();
        Ok(Subscription {
            changes,
            descriptor,
            inotify: self.inotify.clone(),
            watched: self.watched.clone(),
        })
    }
}

impl Subscription {
    /// What has happened so far is known.
    pub(crate) fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }

    /// Waits for something that is not known.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The directory is gone; nothing more will happen in it.
            std::future::pending().await
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let last = watched.get(&self.descriptor).is_some_and(|sender| sender.receiver_count() == 1);
        if last {
            watched.remove(&self.descriptor);
            // Fails if the directory has gone, and the watch with it.
            let _ = inotify::remove_watch(self.inotify.get_ref(), self.descriptor);
        }
    }
}

async fn run(
    inotify: Arc<AsyncFd<OwnedFd>>,
    watched: Arc<Mutex<Watched>>,
    closing: CancellationToken,
) {
    let mut buffer = Vec::with_capacity(EVENT_BYTES);
    loop {
        let ready = tokio::select! {
            ready = inotify.readable() => ready,
            () = closing.cancelled() => return,
        };
        let Ok(mut ready) = ready else { return };
        match read_events(inotify.get_ref(), &mut buffer, &watched) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "cannot watch logs any more");
                return;
            }
            Ok(()) => {}
        }
    }
}

/// Tells listeners until there are no more events, which is an error of kind `WouldBlock`.
fn read_events(fd: &OwnedFd, buffer: &mut Vec<u8>, watched: &Mutex<Watched>) -> io::Result<()> {
    let mut reader = inotify::Reader::new(fd.as_fd(), buffer.spare_capacity_mut());
    loop {
        let event = reader.next()?;
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            watched.values().for_each(|sender| {
                sender.send_replace(());
            });
        } else if event.events().contains(ReadFlags::IGNORED) {
            // The kernel has ended the watch, with the directory.
            watched.remove(&event.wd());
        } else if let Some(sender) = watched.get(&event.wd()) {
            sender.send_replace(());
        }
    }
}
