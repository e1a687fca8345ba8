//! The networks on disk: one file, replaced whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{NetworkError, Result, spec::Network};

/// The form of the file; another number is refused, not guessed at.
const VERSION: u32 = 1;

/// Where networks are stored.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Whether the node forwarded packets on its own.
    forwarding: Forwarding,
    networks: Vec<Network>,
}

/// Whether the node forwarded packets before it was asked to, and when that
/// was seen: a setting of the kernel lasts no longer than a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwarding {
    /// Boot and network namespace this is true for.
    pub(crate) place: String,
    /// Whether it forwarded already.
    pub(crate) before: bool,
}

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) forwarding: Forwarding,
    pub(crate) networks: Vec<Network>,
}

impl Store {
    /// The store below `root`, which is made if it is not there.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root)
            .map_err(|e| NetworkError::system(format!("create {}", root.display()), e))?;
        Ok(Self { path: root.join("networks.json") })
    }

    /// Reads the file; empty when there is none yet.
    pub(crate) fn load(&self) -> Result<Contents> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(self.failed("read", error)),
        };
        let unreadable =
            |source| NetworkError::Stored { path: self.path.display().to_string(), source };
        let Stored { version, forwarding, networks } =
            serde_json::from_slice(&text).map_err(unreadable)?;
        if version != VERSION {
            let text = format!("version {version}, want {VERSION}");
            return Err(unreadable(serde::de::Error::custom(text)));
        }
        Ok(Contents { forwarding, networks })
    }

    /// Writes the file; when this returns, a crash does not lose it.
    pub(crate) fn save(&self, forwarding: &Forwarding, networks: Vec<Network>) -> Result<()> {
        let stored = Stored { version: VERSION, forwarding: forwarding.clone(), networks };
        let text = serde_json::to_vec_pretty(&stored).map_err(|source| NetworkError::Stored {
            path: self.path.display().to_string(),
            source,
        })?;
        self.replace(&text).map_err(|e| self.failed("write", e))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    fn failed(&self, verb: &str, error: io::Error) -> NetworkError {
        NetworkError::system(format!("{verb} {}", self.path.display()), error)
    }
}

/// Boot and network namespace of the calling thread.
pub(crate) fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/thread-self/ns/net").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}
