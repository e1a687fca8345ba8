//! Logs and attachments.

use std::time::Duration;

use bytes::Bytes;
use shoal_engine::domain::{
    AttachOptions, LogConfig, LogDriver, LogOptions, LogStreams, TerminalSize, WaitCondition,
};
use shoal_engine::{InputClosed, LogStream, OutputStream};
use shoal_model::{Classify, Kind};

use crate::bed::{eventually, on_node, outputs, read_all, shell, sleeper};

async fn texts(mut stream: LogStream) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(entry) = stream.next().await {
        texts.push(String::from_utf8(entry.data.to_vec()).unwrap());
    }
    texts
}

#[test]
fn logs_are_read_by_stream_tail_and_time() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(shell("for i in 1 2 3 4 5; do echo o$i; done; echo e >&2")).await;
        let name = id.as_str();
        daemon.containers().wait(name, WaitCondition::NotRunning).unwrap().done().await;
        let read =
            async |options| texts(daemon.containers().logs(name, options).await.unwrap()).await;
        assert_eq!(read(LogOptions::default()).await.len(), 6);
        let errors = LogStreams { stdout: false, stderr: true };
        assert_eq!(read(LogOptions { streams: errors, ..Default::default() }).await, ["e\n"]);
        let outputs = LogStreams { stdout: true, stderr: false };
        let all = read(LogOptions { streams: outputs, ..Default::default() }).await;
        assert_eq!(all, ["o1\n", "o2\n", "o3\n", "o4\n", "o5\n"]);
        assert_eq!(read(LogOptions { tail: Some(2), ..Default::default() }).await.len(), 2);
        assert_eq!(read(LogOptions { tail: Some(0), ..Default::default() }).await.len(), 0);
        let mut first = daemon.containers().logs(name, LogOptions::default()).await.unwrap();
        let time = first.next().await.unwrap().time;
        assert_eq!(read(LogOptions { since: Some(time), ..Default::default() }).await.len(), 6);
        assert!(!read(LogOptions { until: Some(time), ..Default::default() }).await.is_empty());
        daemon.remove(name).await;
        daemon.close().await;
    });
}

#[test]
fn a_follower_gets_every_line_and_the_end() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let line =
            "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; sleep 0.2; echo last";
        let mut request = shell(line);
        // Rotated all the time: followers must not lose or repeat a line.
        let driver = LogDriver::JsonFile { max_size_bytes: Some(4096), max_files: 20 };
        request.host.log = LogConfig { driver, ..LogConfig::default() };
        let id = daemon.containers().create(request).await.unwrap().id;
        daemon.containers().start(id.as_str()).await.unwrap();
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let lines = texts(daemon.containers().logs(id.as_str(), options).await.unwrap()).await;
        let mut wanted: Vec<String> = (0..300).map(|i| format!("line {i}\n")).collect();
        wanted.push("last\n".into());
        assert_eq!(lines, wanted);
        // And from the files alone.
        let read = daemon.containers().logs(id.as_str(), LogOptions::default()).await.unwrap();
        assert_eq!(texts(read).await, wanted);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_follower_waits_for_what_comes() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id =
            daemon.start(shell("echo one; cat /dev/zero | head -c 1 >/dev/null; sleep 1000")).await;
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut stream = daemon.containers().logs(id.as_str(), options).await.unwrap();
        assert_eq!(&stream.next().await.unwrap().data[..], b"one\n");
        let waiting = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
        assert!(waiting.is_err(), "there is nothing more yet");
        daemon.containers().kill(id.as_str(), None).await.unwrap();
        assert_eq!(stream.next().await, None);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn no_log_is_kept_when_none_is_wanted() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("echo secret");
        request.host.log = LogConfig::none();
        let id = daemon.start(request).await;
        daemon.containers().wait(id.as_str(), WaitCondition::NotRunning).unwrap().done().await;
        let refused = daemon.containers().logs(id.as_str(), LogOptions::default()).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::NotImplemented);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_client_that_attaches_before_the_start_misses_nothing() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.containers().create(shell("echo out; echo err >&2")).await.unwrap().id;
        let mut attached = daemon.containers().attach(id.as_str(), outputs()).await.unwrap();
        daemon.containers().start(id.as_str()).await.unwrap();
        let mut chunks = Vec::new();
        while let Some(chunk) = attached.output.next().await {
            chunks.push((chunk.stream, String::from_utf8(chunk.data.to_vec()).unwrap()));
        }
        chunks.sort_by_key(|(stream, _)| *stream == OutputStream::Stderr);
        let wanted = [
            (OutputStream::Stdout, "out\n".to_owned()),
            (OutputStream::Stderr, "err\n".to_owned()),
        ];
        assert_eq!(chunks, wanted);
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn the_shortest_programs_are_neither_lost_nor_cut() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let once = async |attach: bool| {
            let mut request = shell("");
            request.config.cmd = Some(vec!["echo".into(), "short".into()]);
            let id = daemon.containers().create(request).await.unwrap().id;
            let wait = daemon.containers().wait(id.as_str(), WaitCondition::NextExit).unwrap();
            let attached = match attach {
                true => Some(daemon.containers().attach(id.as_str(), outputs()).await.unwrap()),
                false => None,
            };
            daemon.containers().start(id.as_str()).await.unwrap();
            if let Some(attached) = attached {
                assert_eq!(read_all(attached).await, "short\n");
            }
            assert_eq!(wait.done().await.exit_code, 0);
            assert_eq!(daemon.log(id.as_str()).await, "short\n");
            daemon.remove(id.as_str()).await;
        };
        futures_util::future::join_all((0..120).map(|number| once(number % 2 == 0))).await;
        daemon.close().await;
    });
}

#[test]
fn input_goes_in_and_its_end_is_told_while_output_goes_on() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("cat; echo done");
        request.config.open_stdin = true;
        request.config.stdin_once = true;
        let id = daemon.containers().create(request).await.unwrap().id;
        let options = AttachOptions { stdin: true, ..outputs() };
        let mut attached = daemon.containers().attach(id.as_str(), options).await.unwrap();
        daemon.containers().start(id.as_str()).await.unwrap();
        let mut input = attached.input.take().unwrap();
        let big = Bytes::from(vec![b'x'; 300_000]);
        let writing = tokio::spawn(async move {
            input.write(big).await.unwrap();
            input.close();
        });
        let output = read_all(attached).await;
        writing.await.unwrap();
        assert_eq!(output.len(), 300_000 + "done\n".len());
        assert!(output.ends_with("xdone\n"));
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_terminal_is_one_and_has_the_size_given() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request =
            shell("test -t 0 && test -t 1 && stty size; read x; stty size; echo $TERM");
        request.config.tty = true;
        request.config.open_stdin = true;
        request.host.console_size = Some(TerminalSize { rows: 33, columns: 77 });
        let id = daemon.containers().create(request).await.unwrap().id;
        let options = AttachOptions { stdin: true, ..outputs() };
        let mut attached = daemon.containers().attach(id.as_str(), options).await.unwrap();
        assert!(attached.tty);
        daemon.containers().start(id.as_str()).await.unwrap();
        let mut input = attached.input.take().unwrap();
        let mut text = String::new();
        while !text.contains("33 77") {
            let chunk = attached.output.next().await.expect("the size is told");
            text.push_str(std::str::from_utf8(&chunk.data).unwrap());
        }
        let size = TerminalSize { rows: 11, columns: 22 };
        daemon.containers().resize(id.as_str(), size).await.unwrap();
        input.write(Bytes::from_static(b"\n")).await.unwrap();
        let rest = read_all(attached).await;
        assert!(rest.contains("11 22") && rest.contains("xterm"), "{rest:?}");
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn a_client_leaves_by_the_detach_keys_and_the_container_goes_on() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = sleeper();
        request.config.open_stdin = true;
        let id = daemon.start(request).await;
        let options = AttachOptions { stdin: true, detach_keys: Some(b"q".to_vec()), ..outputs() };
        let mut attached = daemon.containers().attach(id.as_str(), options).await.unwrap();
        let mut input = attached.input.take().unwrap();
        assert_eq!(input.write(Bytes::from_static(b"q")).await, Err(InputClosed::Detached));
        drop((input, attached));
        eventually("detached", async || {
            let mut past = daemon.engine.events().subscribe(Some(Default::default()));
            std::iter::from_fn(|| past.try_next()).any(|event| event.action == "detach")
        })
        .await;
        assert!(daemon.containers().inspect(id.as_str()).unwrap().state.is_running());
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}

#[test]
fn an_attachment_can_begin_with_the_past() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let id = daemon.start(shell("echo past")).await;
        daemon.containers().wait(id.as_str(), WaitCondition::NotRunning).unwrap().done().await;
        let options = AttachOptions { logs: true, stream: false, ..outputs() };
        let attached = daemon.containers().attach(id.as_str(), options).await.unwrap();
        assert_eq!(read_all(attached).await, "past\n");
        daemon.remove(id.as_str()).await;
        daemon.close().await;
    });
}
