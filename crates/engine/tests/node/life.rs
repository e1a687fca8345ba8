//! From create to remove.

use shoal_engine::domain::{
    ContainerStatus, HostConfig, ListFilter, NetworkMode, RemoveOptions, RestartPolicy,
    StopOptions, UpdateContainer, WaitCondition,
};
use shoal_engine::events::ObjectType;
use shoal_model::{Classify, Kind, Signal};

use crate::bed::{eventually, on_node, shell, sleeper};

#[test]
fn a_program_runs_and_its_exit_code_is_told() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let (output, exit_code) = daemon.run(shell("echo hello; echo $FROM_IMAGE; exit 7")).await;
        assert_eq!((output.as_str(), exit_code), ("hello\nyes\n", 7));
        daemon.close().await;
    });
}

#[test]
fn a_container_goes_through_its_whole_life() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let mut request = sleeper();
        request.name = Some("whale".into());
        let id = containers.create(request).await.unwrap().id;
        assert_eq!(daemon.status("whale"), ContainerStatus::Created);

        containers.start("whale").await.unwrap();
        let view = containers.inspect(id.short()).unwrap();
        assert_eq!(view.state.status, ContainerStatus::Running);
        assert!(std::fs::exists(format!("/proc/{}", view.state.pid)).unwrap());
        assert_eq!(containers.start("whale").await.unwrap_err().kind(), Kind::NotModified);
        let refused = containers.remove("whale", RemoveOptions::default()).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cannot remove container \"/whale\": container is running: \
             stop the container before removing or force remove"
        );

        containers.pause("whale").await.unwrap();
        assert_eq!(daemon.status("whale"), ContainerStatus::Paused);
        assert_eq!(containers.pause("whale").await.unwrap_err().kind(), Kind::Conflict);
        containers.unpause("whale").await.unwrap();

        daemon.ready("whale").await;
        containers.stop("whale", StopOptions::default()).await.unwrap();
        let state = containers.inspect("whale").unwrap().state;
        assert_eq!((state.status, state.exit_code, state.pid), (ContainerStatus::Exited, 0, 0));
        let again = containers.stop("whale", StopOptions::default()).await.unwrap_err();
        assert_eq!(again.kind(), Kind::NotModified);

        containers.restart("whale", StopOptions::default()).await.unwrap();
        containers.kill("whale", None).await.unwrap();
        let state = containers.inspect("whale").unwrap().state;
        assert_eq!((state.status, state.exit_code), (ContainerStatus::Exited, 137));
        let refused = containers.kill("whale", None).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("cannot kill container: whale: container {id} is not running")
        );

        containers.remove("whale", RemoveOptions::default()).await.unwrap();
        assert_eq!(
            containers.inspect("whale").unwrap_err().to_string(),
            "No such container: whale"
        );
        daemon.close().await;
    });
}

#[test]
fn a_program_that_does_not_heed_the_stop_signal_is_killed() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(shell("trap '' TERM; while true; do sleep 1; done")).await;
        let options = StopOptions { timeout_s: Some(0), signal: None };
        daemon.containers().stop(id.as_str(), options).await.unwrap();
        assert_eq!(daemon.containers().inspect(id.as_str()).unwrap().state.exit_code, 137);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_frozen_container_can_be_killed_and_removed() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        daemon.containers().pause(id.as_str()).await.unwrap();
        daemon.containers().kill(id.as_str(), Some(Signal::KILL)).await.unwrap();
        assert_eq!(daemon.status(id.as_str()), ContainerStatus::Exited);
        daemon.containers().start(id.as_str()).await.unwrap();
        daemon.containers().pause(id.as_str()).await.unwrap();
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_signal_thaws_a_frozen_container_and_says_so() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let line = "trap 'echo heard' USR1; echo ready; while true; do sleep 0.1; done";
        let id = daemon.start_ready(shell(line)).await;
        let name = id.as_str();
        let containers = daemon.containers();
        containers.pause(name).await.unwrap();
        let mut events = daemon.engine.events().subscribe(None);
        containers.kill(name, Some("USR1".parse().unwrap())).await.unwrap();
        assert_eq!(daemon.status(name), ContainerStatus::Running);
        assert_eq!(events.next().await.unwrap().action, "unpause");
        assert_eq!(events.next().await.unwrap().action, "kill");
        eventually("heard", async || daemon.log(name).await.contains("heard")).await;
        containers.pause(name).await.unwrap();
        containers.unpause(name).await.unwrap();
        daemon.remove(name).await;
        daemon.close().await;
    });
}

#[test]
fn rm_removes_it_after_its_exit_and_waiters_are_told() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("exit 3");
        request.host.auto_remove = true;
        let id = daemon.containers().create(request).await.unwrap().id;
        let wait = daemon.containers().wait(id.as_str(), WaitCondition::Removed).unwrap();
        daemon.containers().start(id.as_str()).await.unwrap();
        assert_eq!(wait.done().await.exit_code, 3);
        assert!(daemon.containers().inspect(id.as_str()).is_err());
        assert!(!bed.root().join("containers").join(id.as_str()).exists());

        // One that cannot be started goes, too.
        let mut request = shell("");
        request.config.cmd = Some(vec!["no-such-program".into()]);
        request.host.auto_remove = true;
        let id = daemon.containers().create(request).await.unwrap().id;
        let wait = daemon.containers().wait(id.as_str(), WaitCondition::Removed).unwrap();
        assert!(daemon.containers().start(id.as_str()).await.is_err());
        assert_eq!(wait.done().await.exit_code, 127);
        assert!(daemon.containers().inspect(id.as_str()).is_err());
        daemon.close().await;
    });
}

#[test]
fn the_restart_policy_starts_it_again_until_it_is_stopped() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let mut request = shell("exit 1");
        request.host.restart_policy = RestartPolicy::OnFailure { max_retries: Some(2) };
        let id = daemon.start(request).await;
        eventually("given up", async || daemon.status(id.as_str()) == ContainerStatus::Exited)
            .await;
        assert_eq!(containers.inspect(id.as_str()).unwrap().restart_count, 2);
        daemon.remove(id.as_str()).await;

        let mut request = sleeper();
        request.host.restart_policy = RestartPolicy::Always;
        let id = daemon.start(request).await;
        let pid = containers.inspect(id.as_str()).unwrap().state.pid;
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        eventually("running again", async || {
            let state = containers.inspect(id.as_str()).unwrap().state;
            state.status == ContainerStatus::Running && state.pid != pid
        })
        .await;
        containers.stop(id.as_str(), StopOptions::default()).await.unwrap();
        assert_eq!(daemon.status(id.as_str()), ContainerStatus::Exited);
        daemon.remove(id.as_str()).await;

        let mut request = shell("exit 0");
        request.host.restart_policy = RestartPolicy::Always;
        let id = daemon.start(request).await;
        eventually("waiting to run", async || {
            daemon.status(id.as_str()) == ContainerStatus::Restarting
        })
        .await;
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn names_conflict_and_change() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let named = |name: &str| {
            let mut request = sleeper();
            request.name = Some(name.into());
            request
        };
        let first = containers.create(named("one")).await.unwrap().id;
        assert_eq!(
            containers.create(named("one")).await.unwrap_err().to_string(),
            format!(
                "Conflict. The container name \"/one\" is already in use by container \"{first}\". \
                 You have to remove (or rename) that container to be able to reuse that name."
            )
        );
        assert_eq!(containers.create(named("o ne")).await.unwrap_err().kind(), Kind::Invalid);
        containers.create(named("two")).await.unwrap();
        assert_eq!(containers.rename("one", "two").await.unwrap_err().kind(), Kind::Conflict);
        containers.rename("one", "three").await.unwrap();
        assert_eq!(containers.inspect("three").unwrap().id, first);
        containers.create(named("one")).await.unwrap();
        for name in ["one", "two", "three"] {
            daemon.remove(name).await;
        }
        daemon.close().await;
    });
}

#[test]
fn lists_show_what_filters_let_through() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let containers = daemon.containers();
        let mut running = sleeper();
        running.name = Some("runs".into());
        running.config.labels.insert("tier".into(), "front".into());
        daemon.start(running).await;
        let mut ended = shell("exit 5");
        ended.name = Some("ended".into());
        let id = daemon.start(ended).await;
        containers.wait("ended", WaitCondition::NotRunning).unwrap().done().await;
        let mut hidden = sleeper();
        hidden.hidden = true;
        let hidden = daemon.containers().create(hidden).await.unwrap().id;

        let names = |filter: ListFilter| -> Vec<String> {
            containers.list(&filter).unwrap().into_iter().map(|one| one.name).collect()
        };
        let set = |value: &str| [value.to_owned()].into();
        assert_eq!(names(ListFilter::default()), ["runs"]);
        assert_eq!(names(ListFilter { all: true, ..Default::default() }), ["ended", "runs"]);
        assert_eq!(names(ListFilter { limit: Some(1), ..Default::default() }), ["ended"]);
        assert_eq!(names(ListFilter { label: set("tier=front"), ..Default::default() }), ["runs"]);
        assert_eq!(names(ListFilter { status: set("exited"), ..Default::default() }), ["ended"]);
        assert_eq!(names(ListFilter { exited: [5].into(), ..Default::default() }), ["ended"]);
        assert_eq!(names(ListFilter { ancestor: set("busybox"), ..Default::default() }), ["runs"]);
        let by_id = ListFilter { id: set(id.short()), all: true, ..Default::default() };
        assert_eq!(names(by_id), ["ended"]);
        let ended = &containers.list(&ListFilter { all: true, ..Default::default() }).unwrap()[0];
        assert!(ended.status_text.starts_with("Exited (5) "), "{}", ended.status_text);
        let counts = containers.counts();
        assert_eq!((counts.running, counts.stopped), (1, 1));
        assert_eq!(containers.users_of_image(&ended.image_id.clone().unwrap()).len(), 3);

        let pruned = containers.prune(&Default::default()).await.unwrap();
        assert_eq!(pruned.removed, [id.to_string()]);
        daemon.remove("runs").await;
        daemon.remove(hidden.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn events_tell_a_life() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut listener = daemon.engine.events().subscribe(None);
        let mut request = shell("exit 4");
        request.name = Some("short".into());
        request.host.auto_remove = true;
        let id = daemon.containers().create(request).await.unwrap().id;
        let gone = daemon.containers().wait("short", WaitCondition::Removed).unwrap();
        daemon.containers().start("short").await.unwrap();
        gone.done().await;
        let mut actions = Vec::new();
        while let Some(event) = listener.try_next() {
            if event.object == ObjectType::Network {
                assert_eq!(event.attributes["container"], id.as_str());
                assert_eq!(
                    (event.attributes["name"].as_str(), event.attributes["type"].as_str()),
                    ("host", "host")
                );
                actions.push(format!("network {}", event.action));
                continue;
            }
            assert_eq!((event.object, event.id.as_str()), (ObjectType::Container, id.as_str()));
            assert_eq!(event.attributes["name"], "short");
            if event.action == "die" {
                assert_eq!(event.attributes["exitCode"], "4");
            }
            actions.push(event.action.clone());
        }
        let wanted = ["create", "network connect", "start", "die", "network disconnect", "destroy"];
        assert_eq!(actions, wanted);
        daemon.close().await;
    });
}

#[test]
fn a_hundred_containers_start_at_once() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let starts = (0..100).map(|_| daemon.start_ready(sleeper()));
        let ids = futures_util::future::join_all(starts).await;
        assert_eq!(daemon.containers().counts().running, 100);
        let stops =
            ids.iter().map(|id| daemon.containers().stop(id.as_str(), StopOptions::default()));
        for stopped in futures_util::future::join_all(stops).await {
            stopped.unwrap();
        }
        assert_eq!(daemon.containers().counts().running, 0);
        futures_util::future::join_all(ids.iter().map(|id| daemon.remove(id.as_str()))).await;
        daemon.close().await;
    });
}

#[test]
fn health_is_asked_and_told() {
    use shoal_engine::domain::{HealthStatus, Healthcheck, HealthcheckTest};
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = sleeper();
        request.config.healthcheck = Some(Healthcheck {
            test: Some(HealthcheckTest::Shell("echo asked; test ! -e /tmp/ill".into())),
            interval: std::time::Duration::from_millis(50),
            retries: 1,
            ..Healthcheck::default()
        });
        let id = daemon.start(request).await;
        let health = || daemon.containers().inspect(id.as_str()).unwrap().state.health.unwrap();
        eventually("healthy", async || health().status == HealthStatus::Healthy).await;
        assert_eq!(health().log[0].output, "asked\n");
        daemon.exec(id.as_str(), &["touch", "/tmp/ill"]).await;
        eventually("unhealthy", async || health().status == HealthStatus::Unhealthy).await;
        daemon.exec(id.as_str(), &["busybox", "rm", "/tmp/ill"]).await;
        eventually("healthy again", async || health().status == HealthStatus::Healthy).await;
        // What does not run is not healthy; its last probes are still told.
        daemon.containers().stop(id.as_str(), StopOptions::default()).await.unwrap();
        assert_eq!(health().status, HealthStatus::Unhealthy);
        assert!(!health().log.is_empty());
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn limits_and_policy_can_be_changed() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let change = UpdateContainer {
            resources: shoal_engine::domain::Resources {
                pids_limit: Some(77),
                ..Default::default()
            },
            restart_policy: Some(RestartPolicy::UnlessStopped),
        };
        daemon.containers().update(id.as_str(), change).await.unwrap();
        assert_eq!(daemon.containers().stats(id.as_str()).await.unwrap().pids_limit, 77);
        let host: HostConfig = daemon.containers().inspect(id.as_str()).unwrap().host;
        assert_eq!(host.restart_policy, RestartPolicy::UnlessStopped);
        assert_eq!(host.network_mode, NetworkMode::Host);
        let no_limit = UpdateContainer {
            resources: shoal_engine::domain::Resources {
                pids_limit: Some(-1),
                ..Default::default()
            },
            restart_policy: None,
        };
        daemon.containers().update(id.as_str(), no_limit).await.unwrap();
        assert_eq!(daemon.containers().stats(id.as_str()).await.unwrap().pids_limit, 0);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}
