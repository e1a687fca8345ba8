//! A worker on plain directories: a snapshot is a copy of the whole tree, a
//! layer is the tree it was committed as, a process runs in a chroot.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use shoal_image::{Progress, ProgressSink};
use shoal_model::{Digest, Kind, Reference, Timestamp};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    BaseImage, CachedStep, NewImage, ResolveImage, RunEvent, RunOutcome, RunStep, Snapshot, Worker,
    WorkerError,
    cache_key::CacheKey,
    tree::{Tree, Walk, walk},
    users,
};

/// The worker.
#[derive(Debug)]
pub struct DirectoryWorker {
    root: TempDir,
    state: Mutex<State>,
    clock: AtomicI64,
}

#[derive(Debug, Default)]
struct State {
    images: BTreeMap<String, BaseImage>,
    cache: BTreeMap<CacheKey, CachedStep>,
    ran: Vec<String>,
    snapshots: usize,
    sinks: Vec<Sink>,
}

struct Sink(#[expect(dead_code, reason = "it is held, not used")] ProgressSink);

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

/// A snapshot.
#[derive(Debug)]
pub struct DirectorySnapshot {
    directory: TempDir,
    layers: Vec<Digest>,
}

impl Snapshot for DirectorySnapshot {
    fn root(&self) -> io::Result<OwnedFd> {
        Ok(std::fs::File::open(self.directory.path())?.into())
    }
}

impl DirectoryWorker {
    /// One without images, its clock at a fixed time.
    ///
    /// # Errors
    /// If there is no place for temporary files.
    pub fn new() -> io::Result<Self> {
        const BEGINNING: i64 = 1_700_000_000;
        Ok(Self {
            root: tempfile::tempdir()?,
            state: Mutex::default(),
            clock: AtomicI64::new(BEGINNING),
        })
    }

    /// The commands it ran, each as its arguments joined by blanks.
    pub fn ran(&self) -> Vec<String> {
        self.lock().ran.clone()
    }

    /// How many snapshots it made.
    pub fn snapshots(&self) -> usize {
        self.lock().snapshots
    }

    /// The image of a name or id.
    pub fn image(&self, name: &str) -> Option<BaseImage> {
        self.lock().images.get(name).cloned()
    }

    /// Adds an image.
    pub fn add_image(&self, name: &str, image: BaseImage) {
        self.lock().images.insert(name.to_owned(), image);
    }

    /// The directory with the files of an image.
    pub fn files(&self, image: &BaseImage) -> PathBuf {
        self.tree_of(&image.config.rootfs.diff_ids)
    }

    /// Forgets the steps of earlier builds.
    pub fn forget_cache(&self) {
        self.lock().cache.clear();
    }

    /// Forgets the files of layers, as a garbage collection does.
    pub fn forget_layers(&self) -> io::Result<()> {
        std::fs::remove_dir_all(self.root.path().join("trees"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tree_of(&self, layers: &[Digest]) -> PathBuf {
        let mut hash = Sha256::new();
        layers.iter().for_each(|layer| hash.update(layer.as_str()));
        self.root.path().join("trees").join(hex::encode(hash.finalize()))
    }

    fn has_tree_ending_with(&self, layer: &Digest) -> bool {
        self.root.path().join("trees").is_dir()
            && self.root.path().join("layers").join(layer.hex()).exists()
    }
}

impl Worker for DirectoryWorker {
    type Snapshot = DirectorySnapshot;

    async fn resolve(
        &self,
        image: ResolveImage,
        progress: ProgressSink,
    ) -> Result<BaseImage, WorkerError> {
        progress(Progress::Status(format!("looked for {}", image.name)));
        let mut state = self.lock();
        // As a pull that is shared with others does.
        state.sinks.push(Sink(progress));
        let found = state
            .images
            .get(&image.name)
            .or_else(|| state.images.get(&format!("{}:latest", image.name)));
        found.cloned().ok_or_else(|| {
            WorkerError::new(Kind::NotFound, format!("No such image: {}", image.name))
        })
    }

    async fn cache_source(&self, name: &str) -> Result<Option<BaseImage>, WorkerError> {
        Ok(self.lock().images.get(name).cloned())
    }

    async fn snapshot(&self, layers: &[Digest]) -> Result<DirectorySnapshot, WorkerError> {
        let directory = tempfile::tempdir_in(self.root.path()).map_err(|e| failed(&e))?;
        if !layers.is_empty() {
            let tree = self.tree_of(layers);
            copy_tree(&tree, directory.path()).map_err(|e| failed(&e))?;
        }
        self.lock().snapshots += 1;
        Ok(DirectorySnapshot { directory, layers: layers.to_vec() })
    }

    async fn run(
        &self,
        snapshot: &DirectorySnapshot,
        step: RunStep,
        events: mpsc::Sender<RunEvent>,
    ) -> Result<RunOutcome, WorkerError> {
        self.lock().ran.push(step.arguments.join(" "));
        let container = hex::encode(Sha256::digest(format!("{:?}", snapshot.directory)));
        let _ = events.send(RunEvent::Started { container }).await;
        let root = snapshot.directory.path().to_owned();
        let run = move || run_in_chroot(&root, &step, &events);
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result.map_err(|error| failed(&error)),
            Err(error) => Err(WorkerError::new(Kind::Internal, error.to_string())),
        }
    }

    async fn commit(&self, snapshot: DirectorySnapshot) -> Result<Option<Digest>, WorkerError> {
        let commit = || -> io::Result<Option<Digest>> {
            let after = fingerprint(snapshot.directory.path())?;
            let before = match snapshot.layers.as_slice() {
                [] => fingerprint(tempfile::tempdir()?.path())?,
                layers => fingerprint(&self.tree_of(layers))?,
            };
            if after == before {
                return Ok(None);
            }
            let diff_id = Digest::sha256(Sha256::digest([before, after].concat()).into());
            let layers = [&snapshot.layers[..], std::slice::from_ref(&diff_id)].concat();
            let tree = self.tree_of(&layers);
            if !tree.exists() {
                std::fs::create_dir_all(&tree)?;
                copy_tree(snapshot.directory.path(), &tree)?;
            }
            let known = self.root.path().join("layers");
            std::fs::create_dir_all(&known)?;
            std::fs::write(known.join(diff_id.hex()), "")?;
            Ok(Some(diff_id))
        };
        commit().map_err(|error| failed(&error))
    }

    async fn put_image(&self, image: NewImage) -> Result<Digest, WorkerError> {
        let bytes = serde_json::to_vec(&image.config)
            .map_err(|error| WorkerError::new(Kind::Internal, error.to_string()))?;
        let id = Digest::sha256(Sha256::digest(bytes).into());
        let base = BaseImage { id: id.clone(), config: image.config };
        let mut state = self.lock();
        state.images.insert(id.to_string(), base.clone());
        for tag in image.tags {
            state.images.insert(tag.familiar(), base.clone());
        }
        Ok(id)
    }

    async fn tag_image(&self, id: &Digest, tags: &[Reference]) -> Result<(), WorkerError> {
        let mut state = self.lock();
        let missing = || WorkerError::new(Kind::NotFound, format!("No such image: {id}"));
        let image = state.images.get(id.as_str()).cloned().ok_or_else(missing)?;
        state.images.extend(tags.iter().map(|tag| (tag.familiar(), image.clone())));
        Ok(())
    }

    async fn cached(&self, key: &CacheKey) -> Result<Option<CachedStep>, WorkerError> {
        let found = self.lock().cache.get(key).cloned();
        Ok(found.filter(|step| {
            step.layer.as_ref().is_none_or(|layer| self.has_tree_ending_with(layer))
        }))
    }

    async fn remember(&self, key: &CacheKey, step: &CachedStep) -> Result<(), WorkerError> {
        self.lock().cache.insert(key.clone(), step.clone());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.clock.fetch_add(1, Ordering::Relaxed))
    }
}

fn failed(error: &io::Error) -> WorkerError {
    WorkerError::new(Kind::Internal, error.to_string())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cp -a: {status}"))) }
}

/// Everything about a tree but its times.
fn fingerprint(path: &Path) -> io::Result<[u8; 32]> {
    let tree = Tree::open(path)?;
    let mut hash = Sha256::new();
    walk(&tree, Path::new(""), &mut |entry| {
        let stat = &entry.stat;
        let head = format!("{:?} {:o} {} {}", entry.path, stat.st_mode, stat.st_uid, stat.st_gid);
        hash.update(head);
        match entry.kind() {
            rustix::fs::FileType::RegularFile => {
                let mut bytes = Vec::new();
                entry.open()?.read_to_end(&mut bytes)?;
                hash.update(Sha256::digest(bytes));
            }
            rustix::fs::FileType::Symlink => hash.update(entry.target()?.as_bytes()),
            _ => {}
        }
        Ok(Walk::Enter)
    })?;
    Ok(hash.finalize().into())
}

fn run_in_chroot(
    root: &Path,
    step: &RunStep,
    events: &mpsc::Sender<RunEvent>,
) -> io::Result<RunOutcome> {
    let tree = Tree::open(root)?;
    let owner = match step.user.as_str() {
        "" => users::resolve(&tree, "0"),
        user => users::resolve(&tree, user),
    }
    .map_err(io::Error::other)?;
    let pipes = root.join("dev/pipes");
    for script in &step.scripts {
        std::fs::create_dir_all(&pipes)?;
        let path = root.join(script.path.trim_start_matches('/'));
        std::fs::write(&path, &script.content)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let mut child = Command::new("/usr/sbin/chroot")
        .arg(format!("--userspec={}:{}", owner.uid, owner.gid))
        .arg(root)
        .args(["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""])
        .arg(&step.working_dir)
        .args(&step.arguments)
        .env_clear()
        .envs(step.env.iter().filter_map(|variable| variable.split_once('=')))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| pump(stdout, events, RunEvent::Stdout));
        scope.spawn(|| pump(stderr, events, RunEvent::Stderr));
    });
    let status = child.wait()?;
    if !step.scripts.is_empty() {
        std::fs::remove_dir_all(root.join("dev"))?;
    }
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(RunOutcome { exit_code: i64::from(code) })
}

fn pump(
    stream: Option<impl Read>,
    events: &mpsc::Sender<RunEvent>,
    event: fn(Vec<u8>) -> RunEvent,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 || events.blocking_send(event(buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

/// A worker with the image `busybox` in it.
impl DirectoryWorker {
    /// One with an image named `busybox:latest`, built from scratch.
    ///
    /// # Errors
    /// If the machine has no static busybox.
    pub async fn with_busybox() -> io::Result<Arc<Self>> {
        use crate::{BuildRequest, prepare, testing};
        let worker = Arc::new(Self::new()?);
        let context = testing::TarContext::new()
            .file("rootfs.tar", testing::busybox_rootfs()?)
            .file("Dockerfile", "FROM scratch\nADD rootfs.tar /\nCMD [\"sh\"]\n")
            .receive(&worker.root.path().join("contexts"))
            .map_err(io::Error::other)?;
        let tag = "busybox:latest".parse().map_err(io::Error::other)?;
        let request = BuildRequest { tags: vec![tag], ..BuildRequest::default() };
        let build = prepare(context, request).map_err(io::Error::other)?;
        let (sender, mut events) = mpsc::channel(16);
        let drain = async { while events.recv().await.is_some() {} };
        let (built, ()) = tokio::join!(build.solve(worker.clone(), sender), drain);
        built.map_err(io::Error::other)?;
        Ok(worker)
    }
}
