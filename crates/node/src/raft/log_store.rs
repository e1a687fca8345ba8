//! The raft log on disk.
//!
//! One thread per store does all the writing: it takes everything that has queued up since its
//! last commit and writes it in one transaction, so that one fsync acknowledges many entries.
//! The newest entries are kept in memory, because the state machine reads each of them right
//! after it was appended.
//!
//! Invariants: an append is acknowledged after its transaction is durable; reads see an entry as
//! soon as `append` has returned; writes reach the disk in the order they were asked for; after a
//! write that failed there is none, and whoever asks for one hears why the first failed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};

const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT_META: &str = "snapshot_meta";
const SNAPSHOT_DATA: &str = "snapshot_data";

/// Entries kept in memory behind the newest flushed one.
const CACHED_ENTRIES: usize = 64;
/// Writes waiting for the writer thread. openraft waits for most of them, so few are under way.
const WRITE_QUEUE: usize = 256;
/// Writes that share one transaction at most.
const WRITE_BATCH: usize = 64;
/// Memory redb may use for its pages: the log is written, rarely read.
const PAGE_CACHE_BYTES: usize = 4 << 20;

/// A handle to the log; clones share it.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    db: Arc<Database>,
    cache: Mutex<Cache>,
    writer: mpsc::Sender<Write>,
}

/// What is known without reading the disk.
#[derive(Default)]
struct Cache {
    entries: BTreeMap<u64, Entry>,
    /// The newest index on disk; entries above it must stay in memory.
    flushed: Option<u64>,
    last: Option<LogId>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

/// One thing the writer thread does.
enum Write {
    Append { entries: Vec<Entry>, done: IOFlushed<TypeConfig> },
    Other { operation: Operation, done: oneshot::Sender<io::Result<()>> },
}

impl Write {
    /// Whether the next transaction is early enough.
    fn can_wait(&self) -> bool {
        matches!(self, Self::Other { operation: Operation::Committed(_), done: _ })
    }
}

enum Operation {
    /// Only spares work after a restart: not worth a transaction of its own.
    Committed(Vec<u8>),
    Meta(Vec<(&'static str, Vec<u8>)>),
    TruncateAfter(Option<u64>),
    Purge(u64, Vec<u8>),
}

impl LogStore {
    /// Opens or creates the log. Blocking.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = Database::builder();
        builder.set_cache_size(PAGE_CACHE_BYTES);
        Self::on(builder.create(path).map_err(io::Error::other)?)
    }

    fn on(db: Database) -> io::Result<Self> {
        let db = Arc::new(db);
        let cache = Cache::load(&db)?;
        let (writer, queue) = mpsc::channel(WRITE_QUEUE);
        let shared = Arc::new(Shared { db: Arc::clone(&db), cache: Mutex::new(cache), writer });
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || {
            write_all(&db, queue, &|index| {
                if let Some(shared) = weak.upgrade() {
                    shared.flushed(index);
                }
            });
        })?;
        Ok(Self { shared })
    }

    /// Stores the newest snapshot in place of the one before.
    pub(super) async fn save_snapshot(&self, meta: &SnapshotMeta, data: Vec<u8>) -> io::Result<()> {
        let rows = vec![(SNAPSHOT_META, encode(meta)?), (SNAPSHOT_DATA, data)];
        self.write(Operation::Meta(rows)).await
    }

    /// The newest snapshot. Blocking.
    pub(super) fn load_snapshot(&self) -> io::Result<Option<(SnapshotMeta, Vec<u8>)>> {
        let Some(meta) = read_meta(&self.shared.db, SNAPSHOT_META)? else { return Ok(None) };
        let Some(data) = read_raw(&self.shared.db, SNAPSHOT_DATA)? else { return Ok(None) };
        Ok(Some((meta, data)))
    }

    async fn write(&self, operation: Operation) -> io::Result<()> {
        let (done, finished) = oneshot::channel();
        let write = Write::Other { operation, done };
        self.shared.writer.send(write).await.map_err(|_| stopped())?;
        finished.await.map_err(|_| stopped())?
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn flushed(&self, index: u64) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.flushed = cache.flushed.max(Some(index));
        cache.evict();
    }
}

impl Cache {
    fn load(db: &Database) -> io::Result<Self> {
        let transaction = db.begin_write().map_err(io::Error::other)?;
        transaction.open_table(LOG).map_err(io::Error::other)?;
        transaction.open_table(META).map_err(io::Error::other)?;
        transaction.commit().map_err(io::Error::other)?;
        let purged: Option<LogId> = read_meta(db, PURGED)?;
        let transaction = db.begin_read().map_err(io::Error::other)?;
        let table = transaction.open_table(LOG).map_err(io::Error::other)?;
        let newest = match table.last().map_err(io::Error::other)? {
            Some((_, value)) => Some(decode::<Entry>(value.value())?.log_id),
            None => purged,
        };
        Ok(Self {
            entries: BTreeMap::new(),
            flushed: newest.as_ref().map(|id| id.index),
            last: newest,
            purged,
            vote: read_meta(db, VOTE)?,
            committed: read_meta::<Option<LogId>>(db, COMMITTED)?.flatten(),
        })
    }

    /// Forgets the oldest entries that are safe on disk.
    fn evict(&mut self) {
        while self.entries.len() > CACHED_ENTRIES {
            let Some(oldest) = self.entries.first_entry() else { return };
            if Some(*oldest.key()) > self.flushed {
                return;
            }
            oldest.remove();
        }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let (cached, floor) = {
            let cache = self.cache();
            let cached: Vec<Entry> =
                cache.entries.range(bounds).map(|(_, entry)| entry.clone()).collect();
            (cached, cache.entries.first_key_value().map(|(index, _)| *index))
        };
        let starts_in_memory = match (bounds.0, floor) {
            (Bound::Included(start), Some(floor)) => start >= floor,
            (Bound::Excluded(start), Some(floor)) => start + 1 >= floor,
            _ => false,
        };
        if starts_in_memory {
            return Ok(cached);
        }
        let db = Arc::clone(&self.shared.db);
        let mut entries = tokio::task::spawn_blocking(move || read_entries(&db, bounds))
            .await
            .map_err(io::Error::other)??;
        // The disk may be behind the memory, never ahead of it.
        let next = entries.last().map_or(0, |entry| entry.log_id.index + 1);
        entries.extend(cached.into_iter().filter(|entry| entry.log_id.index >= next));
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.cache().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let cache = self.cache();
        Ok(LogState { last_purged_log_id: cache.purged, last_log_id: cache.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.write(Operation::Meta(vec![(VOTE, encode(vote)?)])).await?;
        self.cache().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.cache().committed = committed;
        let (done, _) = oneshot::channel();
        let operation = Operation::Committed(encode(&committed)?);
        self.shared.writer.send(Write::Other { operation, done }).await.map_err(|_| stopped())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.cache().committed)
    }

    async fn append<I>(&mut self, entries: I, done: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut cache = self.cache();
            for entry in &entries {
                cache.last = Some(entry.log_id);
                cache.entries.insert(entry.log_id.index, entry.clone());
            }
        }
        self.shared.writer.send(Write::Append { entries, done }).await.map_err(|_| stopped())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let keep = last.as_ref().map(|id| id.index);
        self.write(Operation::TruncateAfter(keep)).await?;
        let mut cache = self.cache();
        cache.entries.split_off(&keep.map_or(0, |index| index + 1));
        cache.flushed = cache.flushed.min(keep);
        if cache.last.as_ref().map(|id| id.index) > keep {
            cache.last = last.or(cache.purged);
        }
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write(Operation::Purge(upto.index, encode(&upto)?)).await?;
        let mut cache = self.cache();
        cache.entries = cache.entries.split_off(&(upto.index + 1));
        if cache.last.as_ref().is_none_or(|last| last.index < upto.index) {
            cache.last = Some(upto);
        }
        cache.purged = Some(upto);
        Ok(())
    }
}

/// The writer thread: ends when the last handle is gone.
fn write_all(db: &Database, mut queue: mpsc::Receiver<Write>, flushed: &dyn Fn(u64)) {
    let mut batch = Vec::new();
    // What is on disk is uncertain after a failure, and redb would name it no more: it says
    // "previous I/O error" until it is opened again.
    let mut result = Ok(());
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < WRITE_BATCH {
            let Ok(next) = queue.try_recv() else { break };
            batch.push(next);
        }
        if batch.len() < WRITE_BATCH && batch.iter().all(Write::can_wait) {
            continue;
        }
        if result.is_ok() {
            result = commit(db, &batch).map_err(|error| error.to_string());
        }
        for write in batch.drain(..) {
            let outcome = result.clone().map_err(io::Error::other);
            match write {
                Write::Append { entries, done } => {
                    if let (Ok(()), Some(last)) = (&outcome, entries.last()) {
                        flushed(last.log_id.index);
                    }
                    done.io_completed(outcome);
                }
                // Whoever asked may have been dropped; the write stands.
                Write::Other { operation: _, done } => drop(done.send(outcome)),
            }
        }
    }
}

fn commit(db: &Database, batch: &[Write]) -> io::Result<()> {
    let transaction = db.begin_write().map_err(io::Error::other)?;
    {
        let mut log = transaction.open_table(LOG).map_err(io::Error::other)?;
        let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
        for write in batch {
            match write {
                Write::Append { entries, done: _ } => {
                    for entry in entries {
                        let bytes = encode(entry)?;
                        log.insert(entry.log_id.index, bytes.as_slice())
                            .map_err(io::Error::other)?;
                    }
                }
                Write::Other { operation, done: _ } => match operation {
                    Operation::Committed(value) => {
                        meta.insert(COMMITTED, value.as_slice()).map_err(io::Error::other)?;
                    }
                    Operation::Meta(rows) => {
                        for (key, value) in rows {
                            meta.insert(*key, value.as_slice()).map_err(io::Error::other)?;
                        }
                    }
                    Operation::TruncateAfter(keep) => {
                        let from = keep.map_or(0, |index| index + 1);
                        log.retain_in(from.., |_, _| false).map_err(io::Error::other)?;
                    }
                    Operation::Purge(upto, id) => {
                        log.retain_in(..=*upto, |_, _| false).map_err(io::Error::other)?;
                        meta.insert(PURGED, id.as_slice()).map_err(io::Error::other)?;
                    }
                },
            }
        }
    }
    transaction.commit().map_err(io::Error::other)
}

fn read_entries(db: &Database, range: (Bound<u64>, Bound<u64>)) -> io::Result<Vec<Entry>> {
    let transaction = db.begin_read().map_err(io::Error::other)?;
    let table = transaction.open_table(LOG).map_err(io::Error::other)?;
    let mut entries = Vec::new();
    for row in table.range::<u64>(range).map_err(io::Error::other)? {
        let (_, value) = row.map_err(io::Error::other)?;
        entries.push(decode(value.value())?);
    }
    Ok(entries)
}

fn read_raw(db: &Database, key: &str) -> io::Result<Option<Vec<u8>>> {
    let transaction = db.begin_read().map_err(io::Error::other)?;
    let table = transaction.open_table(META).map_err(io::Error::other)?;
    let value = table.get(key).map_err(io::Error::other)?;
    Ok(value.map(|value| value.value().to_vec()))
}

fn read_meta<T: DeserializeOwned>(db: &Database, key: &str) -> io::Result<Option<T>> {
    read_raw(db, key)?.map(|bytes| decode(&bytes)).transpose()
}

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

fn stopped() -> io::Error {
    io::Error::other("the raft log's writer has stopped")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that can become full.
    #[derive(Debug, Default)]
    struct Disk {
        memory: InMemoryBackend,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn room(&self) -> io::Result<()> {
            match self.full.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room()?;
            self.memory.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.room()?;
            self.memory.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room()?;
            self.memory.write(offset, data)
        }
    }

    #[tokio::test]
    async fn after_a_failure_nothing_is_written_and_the_first_reason_is_told() {
        let disk = Disk::default();
        let full = Arc::clone(&disk.full);
        let store = LogStore::on(Database::builder().create_with_backend(disk).unwrap()).unwrap();
        let vote = |value: u8| Operation::Meta(vec![(VOTE, vec![value])]);
        store.write(vote(b'1')).await.unwrap();
        full.store(true, Ordering::Relaxed);
        let first = store.write(vote(b'2')).await.unwrap_err().to_string();
        assert!(first.contains("no storage space"), "{first}");
        full.store(false, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(store.write(vote(b'3')).await.unwrap_err().to_string(), first);
        }
    }
}
