//! Limits, rights and namespaces as a program inside finds them.

use shoal_engine::domain::{
    HostConfig, IpcMode, NetworkMode, PidMode, Resources, SeccompChoice, Ulimit, UtsMode,
};

use crate::bed::{on_node, shell, sleeper};

fn with(line: &str, change: impl FnOnce(&mut HostConfig)) -> shoal_engine::domain::CreateContainer {
    let mut request = shell(line);
    change(&mut request.host);
    request
}

#[test]
fn a_container_that_takes_too_much_memory_is_killed_and_that_is_told() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        // The shell's variable grows until the kernel says no.
        let request = with("x=x; while true; do x=$x$x$x$x; done", |host| {
            host.resources = Resources {
                memory_bytes: Some(8 << 20),
                memory_swap_bytes: Some(8 << 20),
                ..Resources::default()
            };
        });
        let id = daemon.start(request).await;
        let wait = shoal_engine::domain::WaitCondition::NotRunning;
        daemon.containers().wait(id.as_str(), wait).unwrap().done().await;
        let state = daemon.containers().inspect(id.as_str()).unwrap().state;
        assert_eq!((state.oom_killed, state.exit_code), (true, 137));
        let mut past = daemon.engine.events().subscribe(Some(Default::default()));
        assert!(std::iter::from_fn(|| past.try_next()).any(|event| event.action == "oom"));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn what_is_used_is_measured() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = sleeper();
        request.host.resources.memory_bytes = Some(64 << 20);
        let id = daemon.start(request).await;
        let stats = daemon.containers().stats(id.as_str()).await.unwrap();
        assert_eq!(stats.memory_limit_bytes, 64 << 20);
        assert!(stats.memory_usage_bytes > 0 && stats.pids > 0 && stats.online_cpus > 0);
        assert!(stats.cpu_system > stats.cpu_total);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn users_rights_and_limits_are_as_asked() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("id -u; id -g; id -G; pwd; echo $HOME");
        request.config.user = "app".into();
        request.config.workdir = "/new/dir".into();
        request.host.group_add = vec!["extra".into()];
        assert_eq!(daemon.run(request).await.0, "1000\n1000\n1000 2000\n/new/dir\n/home/app\n");

        let line = "ulimit -n; touch /x 2>/dev/null || echo read-only";
        let request = with(line, |host| {
            host.readonly_rootfs = true;
            host.resources.ulimits = vec![Ulimit { name: "nofile".into(), soft: 64, hard: 64 }];
        });
        assert_eq!(daemon.run(request).await.0, "64\nread-only\n");

        let line = "while read a b; do [ $a = CapEff: ] && echo $b; done < /proc/self/status";
        let request = with(line, |host| host.cap_drop = vec!["ALL".into()]);
        assert_eq!(daemon.run(request).await.0, "0000000000000000\n");
        daemon.close().await;
    });
}

#[test]
fn a_filter_of_the_users_is_used() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
        let line = "mkdir /tmp/x 2>/dev/null && echo made || echo refused";
        let refused = with(line, |host| host.seccomp = SeccompChoice::Profile(profile.into()));
        assert_eq!(daemon.run(refused).await.0, "refused\n");
        let free = with(line, |host| host.seccomp = SeccompChoice::Unconfined);
        assert_eq!(daemon.run(free).await.0, "made\n");
        daemon.close().await;
    });
}

#[test]
fn namespaces_are_private_shared_or_the_hosts() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut donor = sleeper();
        donor.name = Some("donor".into());
        donor.config.hostname = Some("donor-host".into());
        donor.host.network_mode = NetworkMode::None;
        daemon.start(donor).await;
        let own = |name: &str| {
            std::fs::read_link(format!("/proc/thread-self/ns/{name}"))
                .unwrap()
                .display()
                .to_string()
        };
        let pid = daemon.containers().inspect("donor").unwrap().state.pid;
        let donors = |name: &str| {
            std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string()
        };
        let line = "for n in net pid ipc uts; do ls -l /proc/self/ns/$n; done";
        let links = |output: String| -> Vec<String> {
            let link = |line: &str| line.rsplit_once(' ').unwrap().1.to_owned();
            output.lines().map(link).collect()
        };
        let private = links(daemon.run(shell(line)).await.0);
        assert_eq!(private[0], own("net"));
        for (index, name) in [(1, "pid"), (2, "ipc"), (3, "uts")] {
            assert_ne!(private[index], own(name), "{name}");
        }
        let shared = with(line, |host| {
            host.network_mode = NetworkMode::Container("donor".into());
            host.pid_mode = PidMode::Container("donor".into());
            host.ipc_mode = IpcMode::Host;
            host.uts_mode = UtsMode::Host;
        });
        let wanted = [donors("net"), donors("pid"), own("ipc"), own("uts")];
        assert_eq!(links(daemon.run(shared).await.0), wanted);
        daemon.remove("donor").await;
        daemon.close().await;
    });
}
