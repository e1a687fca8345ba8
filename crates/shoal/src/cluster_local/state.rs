//! The clusters of this machine on disk: one folder each.
//!
//! ```text
//! <home>/<cluster>/cluster.json
//! <home>/<cluster>/<node>/lib      the daemon's state
//! <home>/<cluster>/<node>/run      the daemon's sockets, gone at a boot
//! <home>/<cluster>/<node>/init     process id of the node's init, and its start time
//! <home>/<cluster>/<node>/ended    how its daemon last ended, since the node was booted
//! <home>/<cluster>/<node>/node.log what init and daemon said
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::{
    plan::{NodePlan, Plan},
    wait::wait_until,
};

/// How much of a node's log an error shows: a refusal with its usage, and the
/// last things a daemon did.
const LAST_WORDS_LINES: usize = 20;
/// The same for lines of any length.
const LAST_WORDS_BYTES: usize = 8 << 10;

/// The folder of all clusters.
#[derive(Clone, Debug)]
pub(super) struct Home {
    dir: PathBuf,
}

/// The folder of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeDir {
    dir: PathBuf,
}

impl Home {
    /// Clusters are kept below `dir`, which need not exist.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// All clusters, by name. A folder without a plan is not one (or was
    /// hardly begun); a plan that cannot be read is named in the error.
    pub(super) fn plans(&self) -> Result<Vec<Plan>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", self.dir.display()));
            }
        };
        let mut plans = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if self.plan_path(&name).exists() {
                plans.push(self.plan(&name)?);
            }
        }
        plans.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(plans)
    }

    /// One cluster.
    pub(super) fn plan(&self, name: &str) -> Result<Plan> {
        let path = self.plan_path(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("no such cluster: {name}")
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes a new cluster down, before any of it is made. Fails when one of
    /// that name is there.
    pub(super) fn add(&self, plan: &Plan) -> Result<()> {
        let dir = self.dir.join(&plan.name);
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot create {}", self.dir.display()))?;
        if let Err(error) = fs::create_dir(&dir) {
            if self.plan_path(&plan.name).exists() {
                bail!(
                    "cluster {} already exists; remove it with `shoal cluster rm {}`",
                    plan.name,
                    plan.name
                );
            }
            // A creation that was interrupted before it wrote its plan.
            if error.kind() == io::ErrorKind::AlreadyExists {
                return self.write(plan);
            }
            return Err(error).with_context(|| format!("cannot create {}", dir.display()));
        }
        self.write(plan)
    }

    /// Writes a cluster's plan again.
    pub(super) fn write(&self, plan: &Plan) -> Result<()> {
        let path = self.plan_path(&plan.name);
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec_pretty(plan)?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Forgets a cluster and its files; `home` itself too when it was the last.
    pub(super) fn forget(&self, name: &str) -> Result<()> {
        let dir = self.dir.join(name);
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        // Not empty: other clusters are there.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }

    /// The folder of a node.
    pub(super) fn node(&self, plan: &Plan, node: &NodePlan) -> NodeDir {
        NodeDir { dir: self.dir.join(&plan.name).join(&node.name) }
    }

    fn plan_path(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("cluster.json")
    }
}

impl NodeDir {
    /// The folder at `dir`.
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// The daemon's state.
    pub(super) fn lib(&self) -> PathBuf {
        self.dir.join("lib")
    }

    /// The daemon's runtime state.
    pub(super) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Where the daemon answers.
    pub(super) fn socket(&self) -> PathBuf {
        self.run().join("shoal.sock")
    }

    /// The same as clients are told it.
    pub(super) fn docker_host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What init and daemon print.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    /// Makes the folders of a node about to boot: the state stays, the
    /// runtime state goes, as `/run` does on a machine.
    pub(super) fn prepare(&self) -> Result<()> {
        let run = self.run();
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("cannot empty {}", run.display()))?;
        }
        for dir in [self.lib(), run] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        match fs::remove_file(self.ended_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.ended_path().display()))
            }
            _ => Ok(()),
        }
    }

    /// Remembers how the daemon ended.
    pub(super) fn set_ended(&self, how: &str) -> Result<()> {
        // The reader never sees half of it.
        let fresh = self.dir.join("ended.new");
        fs::write(&fresh, how)
            .and_then(|()| fs::rename(&fresh, self.ended_path()))
            .with_context(|| format!("cannot write {}", self.ended_path().display()))
    }

    /// How the daemon last ended, if it has since the node was booted.
    pub(super) fn ended(&self) -> Option<String> {
        fs::read_to_string(self.ended_path()).ok()
    }

    fn ended_path(&self) -> PathBuf {
        self.dir.join("ended")
    }

    /// The last lines of the log, of which it is only the end that is read.
    pub(super) fn last_words(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let end = &bytes[bytes.len().saturating_sub(LAST_WORDS_BYTES)..];
        let text = String::from_utf8_lossy(end);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join("\n")
    }

    /// Remembers the node's init.
    pub(super) fn set_init(&self, pid: i32) -> Result<()> {
        let started = start_time(pid).context("the node's init ended at once")?;
        fs::write(self.dir.join("init"), format!("{pid} {started}\n"))
            .with_context(|| format!("cannot write {}", self.dir.join("init").display()))
    }

    /// The node's init, if it lives: the number alone could be another
    /// process by now, so its start time is compared.
    pub(super) fn init(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.dir.join("init")).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let pid: i32 = pid.parse().ok()?;
        (start_time(pid)? == started).then(|| Pid::from_raw(pid)).flatten()
    }

    /// Kills the node's init and so, through its pid namespace, everything in
    /// the node; returns when it is gone.
    pub(super) fn kill(&self) -> Result<()> {
        let Some(pid) = self.init() else { return Ok(()) };
        rustix::process::kill_process(pid, Signal::KILL)
            .with_context(|| format!("cannot stop the init of {}", self.dir.display()))?;
        // A pid namespace's init is reaped only after all its processes; the
        // entry in /proc goes with it.
        wait_until("the node's processes to end", || self.init().is_none())
    }
}

/// A process's start in clock ticks since boot (`proc_pid_stat(5)`, field
/// 22); `None` when it is gone or only waits to be reaped.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    let mut fields = after_name.split(' ');
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_there_once_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("clusters"));
        assert_eq!(home.plans().unwrap(), []);
        let plan = Plan::new("demo", 2, &[]).unwrap();
        home.add(&plan).unwrap();
        assert_eq!(home.plan("demo").unwrap(), plan);
        let again = home.add(&plan).unwrap_err().to_string();
        assert_eq!(again, "cluster demo already exists; remove it with `shoal cluster rm demo`");
        fs::create_dir(dir.path().join("clusters/begun")).unwrap();
        assert_eq!(home.plans().unwrap().len(), 1, "what was hardly begun is no cluster");
        home.add(&Plan::new("begun", 1, &[0]).unwrap()).unwrap();
        home.forget("begun").unwrap();
        home.forget("demo").unwrap();
        assert_eq!(home.plan("demo").unwrap_err().to_string(), "no such cluster: demo");
        assert!(!dir.path().join("clusters").exists());
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_init() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeDir::at(dir.path().to_owned());
        let own = std::process::id() as i32;
        node.set_init(own).unwrap();
        assert_eq!(node.init(), Pid::from_raw(own));
        fs::write(dir.path().join("init"), format!("{own} 1\n")).unwrap();
        assert_eq!(node.init(), None);
    }
}
