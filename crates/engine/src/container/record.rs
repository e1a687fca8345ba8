//! What is kept about a container on disk, and where.
//!
//! | file under `root/containers/<id>/` | changes | durable |
//! |---|---|---|
//! | `container.json` ([`Record`]) | at create, rename, update, connect | synced before the caller is told |
//! | `state.json` ([`RunState`]) | at every start and exit | not synced, as a power cut ends every run anyway; but for what a restart policy goes by then |
//! | `upper/`, `work/` | by the container | no |
//! | `hosts`, `hostname`, `resolv.conf` | at every start | no |
//! | `<id>-json.log` | by the shim | no |
//!
//! | file under `run/containers/<id>/`, the bundle | |
//! |---|---|
//! | `start.json` ([`RunState`]) | how a start began that may not be noted in `state.json` yet |
//!
//! A directory without `container.json` was half made or half removed; whoever
//! finds one removes it. Both files appear by rename.
//!
//! Only root enters `root/containers` and `run/containers`: below them are set-id programs
//! of images, variables with secrets, and the sockets of shims.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shoal_model::{ContainerId, Digest, Timestamp};
use shoal_runtime::bundle::Bundle;

use super::state::RunState;
use crate::domain::{ContainerConfig, EndpointOptions, HostConfig, MountPoint};

/// What was decided about a container when it was made, or changed by hand since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its id.
    pub(crate) id: ContainerId,
    /// Its name without a slash.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Image id; `None` for given layers.
    pub(crate) image_id: Option<Digest>,
    /// Layers of the image, lowest first: what must not be collected.
    #[serde(default)]
    pub(crate) layers: Vec<Digest>,
    /// What runs, merged with the image's configuration; the host name is set.
    pub(crate) config: ContainerConfig,
    /// How it runs here.
    pub(crate) host: HostConfig,
    /// Networks by the name the caller used; the one of the network mode is among them.
    #[serde(default)]
    pub(crate) networks: BTreeMap<String, EndpointOptions>,
    /// Mounts as decided.
    #[serde(default)]
    pub(crate) mounts: Vec<MountPoint>,
    /// Root file system.
    pub(crate) rootfs: Rootfs,
    /// Not in lists and events.
    #[serde(default)]
    pub(crate) hidden: bool,
}

/// The directories an overlay is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rootfs {
    /// Read-only layers, top first.
    pub(crate) lower: Vec<PathBuf>,
    /// The writable layer.
    pub(crate) upper: PathBuf,
    /// The kernel's.
    pub(crate) work: PathBuf,
}

impl Record {
    /// Program and arguments of the process.
    pub(crate) fn command(&self) -> Vec<String> {
        let entrypoint = self.config.entrypoint.iter().flatten();
        entrypoint.chain(self.config.cmd.iter().flatten()).cloned().collect()
    }
}

/// The file of the common layer; Docker's name.
const MARK: &str = ".dockerenv";

/// Where the files of containers are.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `…/containers`, kept over a reboot.
    kept: PathBuf,
    /// `…/containers`, gone after a reboot: the bundles.
    run: PathBuf,
    /// The layer every container has above its image's.
    common_layer: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path, run: &Path) -> Self {
        Paths {
            kept: root.join("containers"),
            run: run.join("containers"),
            common_layer: root.join("common-layer"),
        }
    }

    /// Makes both parents, and closes those an earlier daemon left open.
    pub(crate) fn make(&self) -> io::Result<()> {
        make_private(&self.kept)?;
        make_private(&self.run)?;
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.common_layer)?;
        fs::write(self.common_layer.join(MARK), "")
    }

    /// The layer every container has above its image's: a mark by which programs know that they
    /// run in a container.
    pub(crate) fn common_layer(&self) -> &Path {
        &self.common_layer
    }

    /// The directory of one container.
    pub(crate) fn dir(&self, id: &ContainerId) -> PathBuf {
        self.kept.join(id.as_str())
    }

    /// The bundle of one container.
    pub(crate) fn bundle(&self, id: &ContainerId) -> Bundle {
        Bundle::new(self.run.join(id.as_str()))
    }

    /// The log file of one container.
    pub(crate) fn log(&self, id: &ContainerId) -> PathBuf {
        self.dir(id).join(format!("{id}-json.log"))
    }

    /// The ids that have a directory, and directories that are no container's.
    pub(crate) fn all(&self) -> io::Result<(Vec<ContainerId>, Vec<PathBuf>)> {
        list_ids(&self.kept)
    }

    /// The ids that have a bundle, and directories that are no container's.
    pub(crate) fn all_bundles(&self) -> io::Result<(Vec<ContainerId>, Vec<PathBuf>)> {
        list_ids(&self.run)
    }

    /// Writes the record. With `durable` it survives a power cut.
    pub(crate) fn write_record(&self, record: &Record, durable: bool) -> io::Result<()> {
        write_json(&self.dir(&record.id), RECORD_FILE, record, durable)
    }

    /// Closes the files an earlier daemon left open to everybody.
    pub(crate) fn close_files(&self, id: &ContainerId) -> io::Result<()> {
        for name in [RECORD_FILE, STATE_FILE] {
            let path = self.dir(id).join(name);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.permissions().mode() & 0o7777 != FILE_MODE => {
                    fs::set_permissions(&path, fs::Permissions::from_mode(FILE_MODE))?;
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the record; `None` if there is none.
    pub(crate) fn read_record(&self, id: &ContainerId) -> io::Result<Option<Record>> {
        read_json(&self.dir(id).join(RECORD_FILE))
    }

    /// Makes the container one that never was: without its record, what is left of
    /// the directory is rubbish to whoever finds it.
    pub(crate) fn forget_record(&self, id: &ContainerId) -> io::Result<()> {
        match fs::remove_file(self.dir(id).join(RECORD_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the state. With `durable` it survives a power cut.
    pub(crate) fn write_state(
        &self,
        id: &ContainerId,
        state: &RunState,
        durable: bool,
    ) -> io::Result<()> {
        write_json(&self.dir(id), STATE_FILE, state, durable)
    }

    /// Writes, into a bundle, the state in which a start begins. Here and not beside the record,
    /// where it would take the place of a file: some file systems flush then.
    pub(crate) fn write_start(&self, id: &ContainerId, state: &RunState) -> io::Result<()> {
        write_json(self.bundle(id).dir(), START_FILE, state, false)
    }

    /// Reads the state in which the last start began; `None` if nothing is known.
    pub(crate) fn read_start(&self, id: &ContainerId) -> io::Result<Option<RunState>> {
        read_json(&self.bundle(id).dir().join(START_FILE))
    }

    /// Reads the state; the initial one if there is none.
    pub(crate) fn read_state(&self, id: &ContainerId) -> io::Result<RunState> {
        Ok(read_json(&self.dir(id).join(STATE_FILE))?.unwrap_or_default())
    }
}

const RECORD_FILE: &str = "container.json";
const STATE_FILE: &str = "state.json";
const START_FILE: &str = "start.json";
/// Variables and labels may be secrets.
const FILE_MODE: u32 = 0o600;

/// Makes a directory nobody else can enter; one that is there becomes that.
fn make_private(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        }
        other => other,
    }
}

fn list_ids(dir: &Path) -> io::Result<(Vec<ContainerId>, Vec<PathBuf>)> {
    let mut ids = Vec::new();
    let mut others = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            Some(id) => ids.push(id),
            None => others.push(entry.path()),
        }
    }
    Ok((ids, others))
}

/// Writes `value` to `dir/name`: whole or not at all.
pub(crate) fn write_json(
    dir: &Path,
    name: &str,
    value: &impl Serialize,
    durable: bool,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    let temporary = dir.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
    file.write_all(&bytes)?;
    if durable {
        file.sync_data()?;
    }
    fs::rename(&temporary, dir.join(name))?;
    if durable {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// Reads a JSON file; `None` if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::container::tests::record;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn nobody_else_reads_what_is_kept_about_containers() {
        let dir = tempfile::tempdir().unwrap();
        let (root, run) = (dir.path().join("root"), dir.path().join("run"));
        // As an earlier daemon left it.
        fs::create_dir_all(root.join("containers")).unwrap();
        fs::set_permissions(root.join("containers"), fs::Permissions::from_mode(0o755)).unwrap();
        let paths = Paths::new(&root, &run);
        paths.make().unwrap();
        assert_eq!((mode(&root.join("containers")), mode(&run.join("containers"))), (0o700, 0o700));

        let web = record(&"a".repeat(64), "web");
        let kept = paths.dir(&web.id);
        fs::create_dir(&kept).unwrap();
        paths.write_record(&web, false).unwrap();
        paths.write_state(&web.id, &RunState::default(), false).unwrap();
        let files = [RECORD_FILE, STATE_FILE].map(|name| kept.join(name));
        assert_eq!(files.each_ref().map(|path| mode(path)), [0o600; 2]);

        for path in &files {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        paths.close_files(&web.id).unwrap();
        assert_eq!(files.each_ref().map(|path| mode(path)), [0o600; 2]);
    }
}
