//! The process: what to run, as whom, and with what taken away.

use std::{fs::File, path::PathBuf, rc::Rc};

use shoal_model::{Classify, Kind};
use shoal_sys::{caps::Capabilities, seccomp::Program};

use super::{absolute, invalid, unbuilt};
use crate::{
    bundle::ShimConfig,
    protocol::{Failure, Reason, WindowSize},
    seccomp,
    spec::{self, Linux, Process},
};

/// One process to be run.
#[derive(Clone, Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    /// Absolute.
    pub(crate) cwd: PathBuf,
    pub(crate) terminal: bool,
    pub(crate) size: Option<WindowSize>,
    pub(crate) user: UserChoice,
    pub(crate) umask: Option<u32>,
    pub(crate) confinement: Confinement,
}

/// As whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserChoice {
    /// Numbers, final.
    Ids { uid: u32, gid: u32, groups: Vec<u32> },
    /// Text to be looked up in the container's files.
    Text { user: String, groups: Vec<String> },
}

/// What every process of a container is confined by.
#[derive(Clone, Debug)]
pub(crate) struct Confinement {
    pub(crate) bounding: Capabilities,
    pub(crate) effective: Capabilities,
    pub(crate) permitted: Capabilities,
    pub(crate) inheritable: Capabilities,
    pub(crate) ambient: Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Option<Rc<Program>>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) rlimits_lenient: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) oom_score_lenient: bool,
    /// Give up the session keyring of whoever made it.
    pub(crate) new_keyring: bool,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: rustix::process::Resource,
    /// `u64::MAX`: none.
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl ProcessPlan {
    pub(super) fn new(
        process: &Process,
        linux: &Linux,
        config: &ShimConfig,
    ) -> Result<Self, Failure> {
        let unbuilt_parts = [
            (process.apparmor_profile, "AppArmor"),
            (process.selinux_label, "SELinux labels"),
            (process.io_priority, "IO priorities"),
            (process.scheduler, "schedulers"),
            (process.exec_cpu_affinity, "CPU affinity of execs"),
        ];
        if let Some((_, what)) = unbuilt_parts.into_iter().find(|(asked, _)| asked.says_something())
        {
            return Err(unbuilt(what));
        }
        let args = process.args.clone();
        if args.is_empty() {
            return Err(invalid("no command specified"));
        }
        let size = process.console_size.as_ref().map(|size| WindowSize {
            rows: u16::try_from(size.height).unwrap_or(u16::MAX),
            columns: u16::try_from(size.width).unwrap_or(u16::MAX),
        });
        let user = match &config.user_text {
            Some(user) => {
                UserChoice::Text { user: user.clone(), groups: config.group_texts.clone() }
            }
            None => UserChoice::Ids {
                uid: process.user.uid,
                gid: process.user.gid,
                groups: process.user.additional_gids.clone(),
            },
        };
        Ok(Self {
            args,
            env: process.env.clone(),
            cwd: absolute(&process.cwd)?,
            terminal: process.terminal,
            size,
            user,
            umask: process.user.umask,
            confinement: Confinement::new(process, linux, config)?,
        })
    }
}

impl Confinement {
    fn new(process: &Process, linux: &Linux, config: &ShimConfig) -> Result<Self, Failure> {
        // What the shim itself lacks it cannot give.
        let own = Capabilities::permitted()
            .map_err(|error| Failure::new(Reason::Failed, error.to_string()))?;
        let sets = &process.capabilities;
        let set = |names: &[String]| -> Result<Capabilities, Failure> {
            let found: Result<Capabilities, Failure> = names
                .iter()
                .map(|name| {
                    Capabilities::named(name)
                        .ok_or_else(|| invalid(format!("unknown capability {name}")))
                })
                .collect();
            Ok(found?.common(own))
        };
        let permitted = set(&sets.permitted)?;
        let inheritable = set(&sets.inheritable)?;
        Ok(Self {
            bounding: set(&sets.bounding)?,
            effective: set(&sets.effective)?.common(permitted),
            permitted,
            inheritable,
            ambient: set(&sets.ambient)?.common(permitted).common(inheritable),
            no_new_privileges: process.no_new_privileges,
            seccomp: program(linux, config)?.map(Rc::new),
            rlimits: process.rlimits.iter().map(rlimit).collect::<Result<_, _>>()?,
            rlimits_lenient: config.lenient.rlimits,
            oom_score_adj: process.oom_score_adj,
            oom_score_lenient: config.lenient.oom_score_adj,
            new_keyring: true,
        })
    }

    /// For `exec --privileged`: every capability the shim has, and no filter. A
    /// container with every capability is privileged itself: if it has a filter,
    /// that was chosen for it by name and stays.
    pub(crate) fn privileged(&self) -> Result<Self, Failure> {
        let all = Capabilities::permitted()
            .map_err(|error| Failure::new(Reason::Failed, error.to_string()))?;
        let seccomp = self.seccomp.clone().filter(|_| self.bounding == all);
        Ok(Self { bounding: all, effective: all, permitted: all, seccomp, ..self.clone() })
    }
}

/// The engine's compiled program, or the spec's rules.
fn program(linux: &Linux, config: &ShimConfig) -> Result<Option<Program>, Failure> {
    if let Some(path) = &config.seccomp_program {
        let read = File::open(path).and_then(Program::read_from);
        return read
            .map(Some)
            .map_err(|error| invalid(format!("seccomp program {}: {error}", path.display())));
    }
    let compiled = linux.seccomp.as_ref().map(seccomp::compile).transpose();
    compiled.map_err(|error| {
        let reason = match error.kind() {
            Kind::NotImplemented => Reason::NotImplemented,
            _ => Reason::Invalid,
        };
        Failure::new(reason, error.chain())
    })
}

fn rlimit(limit: &spec::Rlimit) -> Result<Rlimit, Failure> {
    use rustix::process::Resource;
    let resource = match limit.r#type.as_str() {
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_STACK" => Resource::Stack,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        other => return Err(invalid(format!("unknown resource limit {other:?}"))),
    };
    Ok(Rlimit { resource, soft: limit.soft, hard: limit.hard })
}
