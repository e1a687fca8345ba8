//! Further processes in a container.

use bytes::Bytes;
use shoal_engine::domain::{CreateExec, SeccompChoice, StartExec};
use shoal_model::{Classify, Kind};

use crate::bed::{eventually, on_node, read_all, shell, sleeper};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.into()).collect()
}

#[test]
fn an_exec_runs_beside_and_its_exit_code_is_told() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = sleeper();
        request.config.env = vec!["MINE=1".into()];
        let id = daemon.start(request).await;
        let said = daemon.exec(id.as_str(), &["sh", "-c", "echo $MINE $FROM_IMAGE; exit 9"]).await;
        assert_eq!(said, ("1 yes\n".into(), 9));
        let top = daemon.containers().top(id.as_str(), "").await.unwrap();
        assert_eq!(top.titles[0], "UID");
        assert!(top.processes.iter().any(|row| row[7].starts_with("sh -c")), "{top:?}");
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn an_exec_has_the_user_directory_variables_and_terminal_it_asks_for() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        let request = CreateExec {
            cmd: words(&["sh", "-c", "id -u; pwd; echo $A; test -t 1 && echo terminal"]),
            env: vec!["A=b".into()],
            user: "app".into(),
            workdir: "/tmp".into(),
            tty: true,
            attach_stdout: true,
            ..CreateExec::default()
        };
        let exec = execs.create(id.as_str(), request).unwrap();
        let options = StartExec { tty: true, ..StartExec::default() };
        let attached = execs.start(exec.as_str(), options).await.unwrap().unwrap();
        assert_eq!(read_all(attached).await, "1000\r\n/tmp\r\nb\r\nterminal\r\n");
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn input_reaches_an_exec() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        let request = CreateExec {
            cmd: words(&["wc", "-c"]),
            attach_stdin: true,
            attach_stdout: true,
            ..CreateExec::default()
        };
        let exec = execs.create(id.as_str(), request).unwrap();
        let mut attached = execs.start(exec.as_str(), StartExec::default()).await.unwrap().unwrap();
        let mut input = attached.input.take().unwrap();
        input.write(Bytes::from_static(b"12345")).await.unwrap();
        input.close();
        assert_eq!(read_all(attached).await, "5\n");
        assert_eq!(execs.wait(exec.as_str()).await, Some(0));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_detached_exec_runs_and_one_whose_client_left_still_tells_its_end() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        let request = CreateExec { cmd: words(&["touch", "/tmp/was-here"]), ..Default::default() };
        let exec = execs.create(id.as_str(), request).unwrap();
        let options = StartExec { detach: true, ..StartExec::default() };
        assert!(execs.start(exec.as_str(), options).await.unwrap().is_none());
        assert_eq!(execs.wait(exec.as_str()).await, Some(0));
        assert_eq!(daemon.exec(id.as_str(), &["ls", "/tmp/was-here"]).await.1, 0);

        let line = "while [ ! -e /tmp/go ]; do sleep 0.01; echo x; done; exit 6";
        let request = CreateExec {
            cmd: words(&["sh", "-c", line]),
            attach_stdout: true,
            ..CreateExec::default()
        };
        let exec = execs.create(id.as_str(), request).unwrap();
        let attached = execs.start(exec.as_str(), StartExec::default()).await.unwrap();
        drop(attached);
        let view = execs.inspect(exec.as_str()).unwrap();
        assert!(view.running && view.pid != 0);
        assert_eq!(
            daemon.containers().inspect(id.as_str()).unwrap().exec_ids,
            std::slice::from_ref(&exec)
        );
        daemon.exec(id.as_str(), &["touch", "/tmp/go"]).await;
        assert_eq!(execs.wait(exec.as_str()).await, Some(6));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn an_exec_that_cannot_run_says_why() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        for (program, exit_code) in [("no-such-program", 127), ("/etc/not-a-program", 126)] {
            let request = CreateExec { cmd: words(&[program]), ..CreateExec::default() };
            let exec = execs.create(id.as_str(), request).unwrap();
            let refused = execs.start(exec.as_str(), StartExec::default()).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
            let message = refused.to_string();
            assert!(message.starts_with("OCI runtime exec failed: exec failed: "), "{message}");
            assert!(message.contains(program), "{message}");
            assert_eq!(execs.inspect(exec.as_str()).unwrap().exit_code, Some(exit_code));
            let again = execs.start(exec.as_str(), StartExec::default()).await.unwrap_err();
            assert_eq!(again.kind(), Kind::Conflict);
        }
        let request = CreateExec { cmd: words(&["true"]), ..CreateExec::default() };
        let exec = execs.create(id.as_str(), request).unwrap();
        let claimed = execs.claim(exec.as_str(), StartExec::default()).unwrap();
        let taken = execs.start(exec.as_str(), StartExec::default()).await.unwrap_err();
        assert_eq!(taken.kind(), Kind::Conflict);
        drop(claimed);
        assert_eq!(execs.inspect(exec.as_str()).unwrap().exit_code, Some(126));
        daemon.containers().pause(id.as_str()).await.unwrap();
        let request = CreateExec { cmd: words(&["true"]), ..CreateExec::default() };
        let paused = execs.create(id.as_str(), request.clone()).unwrap_err();
        assert!(paused.to_string().ends_with("is paused, unpause the container before exec"));
        daemon.remove(id.as_str()).await;
        assert_eq!(execs.create(id.as_str(), request).unwrap_err().kind(), Kind::NotFound);
        daemon.close().await;
    });
}

#[test]
fn execs_end_with_their_container() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(shell("while [ ! -e /tmp/end ]; do sleep 0.01; done")).await;
        let execs = daemon.engine.execs();
        let request = CreateExec { cmd: words(&["sleep", "1000"]), ..CreateExec::default() };
        let exec = execs.create(id.as_str(), request).unwrap();
        let options = StartExec { detach: true, ..StartExec::default() };
        execs.start(exec.as_str(), options).await.unwrap();
        daemon.exec(id.as_str(), &["touch", "/tmp/end"]).await;
        eventually("ended", async || execs.inspect(exec.as_str()).unwrap().exit_code == Some(137))
            .await;
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn an_exec_whose_client_leaves_while_it_is_started_is_run_to_its_end() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        let request = CreateExec {
            cmd: words(&["sh", "-c", "echo x; exit 6"]),
            attach_stdout: true,
            ..CreateExec::default()
        };
        let exec = execs.create(id.as_str(), request).unwrap();
        let start = execs.start(exec.as_str(), StartExec::default());
        // Asked once, then dropped; on a busy machine it may have started by then.
        drop(tokio::time::timeout(std::time::Duration::ZERO, start).await);
        eventually("ended", async || execs.inspect(exec.as_str()).unwrap().exit_code == Some(6))
            .await;
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_privileged_container_keeps_the_filter_it_was_given_for_any_exec() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
        let mut request = sleeper();
        request.host.privileged = true;
        request.host.seccomp = SeccompChoice::Profile(profile.into());
        let id = daemon.start(request).await;
        assert_ne!(daemon.exec(id.as_str(), &["mkdir", "/tmp/x"]).await.1, 0);
        let execs = daemon.engine.execs();
        let request = CreateExec {
            cmd: words(&["mkdir", "/tmp/x"]),
            privileged: true,
            ..CreateExec::default()
        };
        let exec = execs.create(id.as_str(), request).unwrap();
        execs
            .start(exec.as_str(), StartExec { detach: true, ..StartExec::default() })
            .await
            .unwrap();
        assert_eq!(execs.wait(exec.as_str()).await, Some(1));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn an_exec_waits_for_no_frozen_container() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(sleeper()).await;
        let execs = daemon.engine.execs();
        let request = CreateExec { cmd: words(&["true"]), ..CreateExec::default() };
        let exec = execs.create(id.as_str(), request).unwrap();
        daemon.containers().pause(id.as_str()).await.unwrap();
        let refused = execs.start(exec.as_str(), StartExec::default()).await.unwrap_err();
        assert!(refused.to_string().ends_with("is paused, unpause the container before exec"));
        daemon.containers().unpause(id.as_str()).await.unwrap();
        let options = StartExec { detach: true, ..StartExec::default() };
        execs.start(exec.as_str(), options).await.unwrap();
        assert_eq!(execs.wait(exec.as_str()).await, Some(0));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}
