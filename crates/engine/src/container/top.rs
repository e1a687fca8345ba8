//! Shows containers' processes, read from `/proc`; no `ps` is run.

use std::collections::HashMap;
use std::fs;
use std::io;

use super::{Containers, not_running};
use crate::clock;
use crate::domain::TopTable;
use crate::error::ContainerError;
use crate::node::blocking;

/// `USER_HZ`: what `/proc/PID/stat` counts in, on every architecture of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The columns of one form of `ps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `ps -ef`.
    Full,
    /// `ps aux`.
    User,
}

impl Containers {
    /// The processes of a container, as `ps` with these arguments shows them; empty is `-ef`.
    ///
    /// # Errors
    /// It does not run; other arguments than `-ef` and `aux` are not supported yet.
    pub async fn top(&self, name: &str, ps_arguments: &str) -> Result<TopTable, ContainerError> {
        let container = self.table.find(name)?;
        if !container.state.borrow().phase.has_process() {
            return Err(not_running(&container.id));
        }
        let form = match ps_arguments.trim() {
            "" | "-ef" | "ef" => Form::Full,
            "aux" | "-aux" => Form::User,
            other => return Err(ContainerError::Unsupported(format!("top with ps {other:?}"))),
        };
        let record = container.record();
        let parent = record.host.resources.cgroup_parent.as_deref();
        let path = self.node.cgroups.path(&container.id, parent);
        let node = self.node.clone();
        let table = blocking(move || {
            let pids = node.cgroups.at(&path)?.processes()?;
            read_table(&pids, form)
        });
        table
            .await
            .map_err(ContainerError::io(format!("cannot list the processes of container {name}")))
    }
}

fn read_table(pids: &[i32], form: Form) -> io::Result<TopTable> {
    let users = user_names(&fs::read_to_string("/etc/passwd").unwrap_or_default());
    let boot_s = boot_time_s(&fs::read_to_string("/proc/stat")?);
    let now_s = clock::now().seconds().unsigned_abs();
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    let processes = pids.iter().filter_map(|pid| {
        // Gone meanwhile: not there.
        let process = Process::read(*pid, &users, boot_s).ok()?;
        Some(process.row(form, now_s))
    });
    let titles: &[&str] = match form {
        Form::Full => &["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
        Form::User => &[
            "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND",
        ],
    };
    Ok(TopTable {
        processes: processes.collect(),
        titles: titles.iter().map(|&title| title.into()).collect(),
    })
}

/// What `/proc/PID` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Process {
    user: String,
    pid: i32,
    parent: i32,
    state: char,
    tty: String,
    cpu_s: u64,
    started_s: u64,
    virtual_kb: u64,
    resident_kb: u64,
    command: String,
}

impl Process {
    fn read(pid: i32, users: &HashMap<u32, String>, boot_s: u64) -> io::Result<Self> {
        let dir = format!("/proc/{pid}");
        let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&dir)?);
        let command = fs::read(format!("{dir}/cmdline"))?;
        let stat = fs::read_to_string(format!("{dir}/stat"))?;
        let mut process = Process::of_stat(&stat, boot_s)
            .ok_or_else(|| io::Error::other("odd /proc/PID/stat"))?;
        process.pid = pid;
        process.user = users.get(&uid).cloned().unwrap_or_else(|| uid.to_string());
        if !command.is_empty() {
            let text = String::from_utf8_lossy(&command);
            process.command = text.trim_end_matches('\0').replace('\0', " ");
        }
        Ok(process)
    }

    /// Reads `pid (name) state ppid …`; the name may contain anything.
    fn of_stat(stat: &str, boot_s: u64) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        Some(Process {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            tty: tty_name(number(4)?),
            cpu_s: (number(11)? + number(12)?) / TICKS_PER_SECOND,
            started_s: boot_s + number(19)? / TICKS_PER_SECOND,
            virtual_kb: number(20)? / 1024,
            resident_kb: number(21)? * 4,
            command: format!("[{name}]"),
            ..Process::default()
        })
    }

    fn row(self, form: Form, now_s: u64) -> Vec<String> {
        let seconds = self.cpu_s;
        let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let start = clock_time(self.started_s);
        let alive_s = now_s.saturating_sub(self.started_s).max(1);
        let memory_percent = self.memory_percent();
        match form {
            Form::Full => vec![
                self.user,
                self.pid.to_string(),
                self.parent.to_string(),
                (seconds * 100 / alive_s).to_string(),
                start,
                self.tty,
                time,
                self.command,
            ],
            Form::User => vec![
                self.user,
                self.pid.to_string(),
                format!("{:.1}", seconds as f64 * 100.0 / alive_s as f64),
                format!("{memory_percent:.1}"),
                self.virtual_kb.to_string(),
                self.resident_kb.to_string(),
                self.tty,
                self.state.to_string(),
                start,
                format!("{}:{:02}", seconds / 60, seconds % 60),
                self.command,
            ],
        }
    }

    fn memory_percent(&self) -> f64 {
        let all_kb = crate::node::machine_memory_bytes() / 1024;
        self.resident_kb as f64 * 100.0 / all_kb.max(1) as f64
    }
}

/// The hour and minute of a time in UTC.
fn clock_time(seconds: u64) -> String {
    format!("{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60)
}

/// The name of a terminal by its device number.
fn tty_name(device: u64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        0 => "?".into(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

fn boot_time_s(stat: &str) -> u64 {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

fn user_names(passwd: &str) -> HashMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    passwd.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let stat = "42 (a) b) S 1 42 42 34817 42 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1000 \
                    4096000 250 18446744073709551615";
        let process = Process::of_stat(stat, 1_000_000).unwrap();
        assert_eq!((process.parent, process.state, process.cpu_s), (1, 'S', 3));
        assert_eq!((process.tty.as_str(), process.started_s), ("pts/1", 1_000_010));
        assert_eq!(process.command, "[a) b]");
        assert_eq!((process.virtual_kb, process.resident_kb), (4000, 1000));
    }

    #[test]
    fn users_are_read_as_data() {
        let users =
            user_names("root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:1000::/:/bin/sh\n");
        assert_eq!(users.len(), 2);
        assert_eq!(users[&1000], "me");
    }
}
