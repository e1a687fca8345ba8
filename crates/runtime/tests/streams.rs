//! Standard input, output and error; terminals; the log; exec.

mod common;

use std::{fs, io::Write as _, os::unix::net::UnixStream, time::Duration};

use common::{PATIENCE, Setup, collect, eventually, exec_request, read_until, run};
use shoal_runtime::{
    bundle::LogConfig,
    client::{CallError, Connection, Output},
    protocol::{ExecRequest, Operation, Reason, Reply, WindowSize},
};

#[test]
fn output_and_errors_come_apart_and_nothing_is_lost() {
    let mut container = Setup::new(&["sh", "-c", "echo out; echo err >&2; seq 200000"]).create();
    let mut stream = container.attach(false);
    container.start();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match stream.output().unwrap().unwrap() {
            Output::Stdout(more) => out.extend(more),
            Output::Stderr(more) => err.extend(more),
            Output::End(exit) => {
                assert_eq!(exit.exit_code, 0);
                break;
            }
        }
    }
    let expected: String =
        "out\n".to_owned() + &(1..=200_000).map(|n| format!("{n}\n")).collect::<String>();
    assert!(out == expected.as_bytes(), "{} bytes", out.len());
    assert_eq!(err, b"err\n");
    container.gone();
}

#[test]
fn input_goes_through_and_its_end_arrives() {
    let mut setup = Setup::new(&["wc", "-c"]);
    setup.config.open_stdin = true;
    setup.config.stdin_once = true;
    let mut container = setup.create();
    let mut stream = container.attach(true);
    container.start();
    let payload = vec![b'x'; 100_000];
    for _ in 0..10 {
        stream.write_stdin(&payload).unwrap();
    }
    stream.close_stdin().unwrap();
    let (output, _) = collect(stream);
    assert_eq!(output.trim(), "1000000");
    container.gone();
}

/// A client may also half-close its socket; output still comes.
#[test]
fn a_socket_closed_for_writing_is_the_end_of_input() {
    let mut setup = Setup::new(&["sh", "-c", "cat; sleep 0.1; echo after"]);
    setup.config.open_stdin = true;
    setup.config.stdin_once = true;
    let mut container = setup.create();
    let socket = shoal_runtime::client::connect(&container.setup.bundle).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = Connection::over(socket.try_clone().unwrap());
    let attach = Operation::Attach { stdin: true, stdout: true, stderr: true };
    assert_eq!(stream.call(attach).unwrap(), Reply::Attached);
    container.start();
    stream.write_stdin(b"before ").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let (output, exit) = collect(stream);
    assert_eq!((output.as_str(), exit.exit_code), ("before after\n", 0));
    container.gone();
}

#[test]
fn input_stays_open_for_the_next_client_unless_used_once() {
    let mut setup = Setup::new(&["sh", "-c", "while read line; do echo got $line; done"]);
    setup.config.open_stdin = true;
    let mut container = setup.create();
    container.start();
    for name in ["one", "two"] {
        let mut stream = container.attach(true);
        stream.write_stdin(format!("{name}\n").as_bytes()).unwrap();
        read_until(&mut stream, &format!("got {name}\n"));
        stream.close_stdin().unwrap();
    }
    container.finish();
}

/// A client that does not read stops the container, and loses nothing.
#[test]
fn a_slow_reader_holds_the_writer_back() {
    let mut container = Setup::new(&[
        "sh",
        "-c",
        "yes 0123456789 | head -c 5000000; echo; touch /tmp/done; sleep 1000",
    ])
    .create();
    let mut stream = container.attach(false);
    container.start();
    let written = || container.setup.upper().join("tmp/done").exists();
    // Everything in between fills up; then the writers stand still.
    let group = container.setup.cgroup.clone();
    let progress = || -> Vec<String> {
        let io = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        group.processes().unwrap().iter().map(io).collect()
    };
    let (mut last, mut unchanged) = (progress(), 0);
    eventually("it is held back", || {
        let now = progress();
        let full = now.iter().any(|io| io.contains("write_bytes") && !io.contains("wchar: 0\n"));
        unchanged = if full && now == last { unchanged + 1 } else { 0 };
        last = now;
        unchanged > 50
    });
    assert!(!written(), "it was not held back");
    // Others are served meanwhile.
    assert_eq!(container.exec_script("echo served").0, "served\n");
    let mut count = 0;
    while count < 5_000_001 {
        match stream.output().unwrap().unwrap() {
            Output::Stdout(more) => count += more.len(),
            other => panic!("{other:?}"),
        }
    }
    eventually("it goes on", written);
    container.finish();
}

/// The process does not read: the client is held back, and others are served.
#[test]
fn a_process_that_does_not_read_holds_the_client_back() {
    let mut setup = Setup::new(&["sleep", "1000"]);
    setup.config.open_stdin = true;
    let mut container = setup.create();
    container.start();
    let mut stream = UnixStream::connect(container.setup.bundle.socket_path()).unwrap();
    let mut bytes = Vec::new();
    let attach = Operation::Attach { stdin: true, stdout: false, stderr: false };
    let request = shoal_runtime::protocol::Request { id: 1, operation: attach };
    shoal_runtime::protocol::encode_request(&request, &mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut frame = Vec::new();
    shoal_runtime::protocol::encode(
        shoal_runtime::protocol::FrameKind::Stdin,
        &[b'x'; 60_000],
        &mut frame,
    );
    let mut total = 0;
    let mut refused = 0;
    while refused < 50 {
        match stream.write(&frame) {
            // Half a frame would break the protocol, but nobody reads it anyway.
            Ok(count) => {
                total += count;
                refused = 0;
            }
            Err(_) => {
                // Taken on in between, if at all.
                refused += 1;
                container.state();
            }
        }
        assert!(total < 8 << 20, "the shim takes everything");
    }
    assert_eq!(container.exec_script("echo served").0, "served\n");
    container.finish();
}

#[test]
fn a_terminal_has_a_size_and_a_console() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "tty; stty size; ls -l /dev/console | cut -c1; read x; stty size; echo bye $x",
    ]);
    setup.spec["process"]["terminal"] = serde_json::json!(true);
    setup.spec["process"]["consoleSize"] = serde_json::json!({"height": 25, "width": 99});
    setup.config.open_stdin = true;
    let mut container = setup.create();
    let mut stream = container.attach(true);
    container.start();
    let begin = read_until(&mut stream, "25 99\r\nc\r\n");
    assert!(begin.starts_with("/dev/pts/0\r\n"), "{begin:?}");
    let size = WindowSize { rows: 40, columns: 120 };
    container.call(Operation::Resize { exec: None, size });
    stream.write_stdin(b"all\n").unwrap();
    let (output, exit) = collect(stream);
    assert!(output.ends_with("40 120\r\nbye all\r\n"), "{output:?}");
    assert_eq!(exit.exit_code, 0);
    container.gone();
}

/// Daemons let go of their terminal and write to the console later; some hang it up.
#[test]
fn a_terminal_nobody_has_open_is_not_at_its_end() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "for word in one two three; do \
           exec < /dev/null > /dev/null 2>&1; touch /closed-$word; \
           until test -e /go-$word; do sleep 0.01; done; \
           exec > /dev/console; echo $word; \
         done; echo end",
    ]);
    setup.spec["process"]["terminal"] = serde_json::json!(true);
    let mut container = setup.create();
    let mut stream = container.attach(false);
    container.start();
    let mut text = String::new();
    for word in ["one", "two", "three"] {
        let closed = container.setup.upper().join(format!("closed-{word}"));
        eventually("it is closed", || closed.exists());
        // An answer later the shim has seen it.
        container.state();
        assert_eq!(container.exec_script(&format!("touch /go-{word}")).1, 0);
        text = read_until(&mut stream, word);
    }
    let (rest, exit) = collect(stream);
    assert!((text + &rest).ends_with("three\r\nend\r\n"), "{rest}");
    assert_eq!(exit.exit_code, 0);
    container.gone();
}

#[test]
fn the_terminals_interrupt_reaches_the_program() {
    let mut setup = Setup::new(&[
        "sh",
        "-c",
        "trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.01; done",
    ]);
    setup.spec["process"]["terminal"] = serde_json::json!(true);
    setup.config.open_stdin = true;
    let mut container = setup.create();
    let mut stream = container.attach(true);
    container.start();
    read_until(&mut stream, "ready");
    stream.write_stdin(&[3]).unwrap();
    let (_, exit) = collect(stream);
    assert_eq!(exit.exit_code, 5);
    container.gone();
}

#[test]
fn exec_runs_beside_with_its_own_streams() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let (output, code) = container.exec_script("echo out; echo err >&2; exit 7");
    assert_eq!((output.as_str(), code), ("out\nerr\n", 7));
    let mut request = exec_request(&["cat"]);
    request.stdin = true;
    let mut stream = container.connect();
    let started = stream.call(Operation::Exec(Box::new(request))).unwrap();
    let Reply::ExecStarted { pid } = started else { panic!("{started:?}") };
    assert!(container.state().execs.iter().any(|exec| exec.pid == pid));
    stream.write_stdin(b"through and back").unwrap();
    stream.close_stdin().unwrap();
    let (output, exit) = collect(stream);
    assert_eq!((output.as_str(), exit.exit_code), ("through and back", 0));
    eventually("the exec is forgotten", || container.state().execs.is_empty());
    container.finish();
}

#[test]
fn exec_failures_are_told_apart() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let refusal = |args: &[&str]| container.exec(exec_request(args)).unwrap_err();
    assert_eq!(refusal(&["nonsense"]).exit_code(), 127);
    assert_eq!(refusal(&["/etc/passwd"]).exit_code(), 126);
    let mut request = exec_request(&["true"]);
    request.user_text = Some("nobody".into());
    let failure = container.exec(request).unwrap_err();
    assert!(failure.message.contains("unable to find user nobody"), "{failure}");
    assert_eq!(failure.reason, Reason::Invalid);
    container.finish();
}

#[test]
fn exec_has_a_terminal_a_user_and_a_directory_of_its_own() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let request = ExecRequest {
        terminal: true,
        stdin: true,
        size: Some(WindowSize { rows: 33, columns: 44 }),
        user_text: Some("www".into()),
        cwd: Some("/tmp".into()),
        ..exec_request(&["sh", "-c", "tty; stty size; id -u; pwd; echo $HOME; read x; stty size"])
    };
    let exec_id = request.exec_id.clone();
    let mut stream = container.connect();
    stream.call(Operation::Exec(Box::new(request))).unwrap();
    read_until(&mut stream, "33 44\r\n33\r\n/tmp\r\n/var/www\r\n");
    let size = WindowSize { rows: 11, columns: 22 };
    container.call(Operation::Resize { exec: Some(exec_id), size });
    stream.write_stdin(b"\n").unwrap();
    let (output, exit) = collect(stream);
    assert!(output.contains("11 22\r\n"), "{output:?}");
    assert_eq!(exit.exit_code, 0);
    container.finish();
}

/// As one is whose working directory lies on a disk that does not answer; here it
/// stands still with the container's group.
#[test]
fn an_exec_that_is_slow_to_make_holds_nobody_up() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let group = container.setup.cgroup.clone();
    group.freeze().unwrap();
    let mut slow = container.connect();
    let request = ExecRequest { stdin: true, ..exec_request(&["cat"]) };
    let id = slow.send(Operation::Exec(Box::new(request))).unwrap();
    slow.write_stdin(b"sent ahead\n").unwrap();
    slow.close_stdin().unwrap();
    eventually("it is being made", || group.processes().unwrap().len() == 2);
    // Were the shim waiting, this would be answered after the thaw.
    assert!(container.state().execs.is_empty());
    group.thaw().unwrap();
    assert!(matches!(slow.answer(id).unwrap(), Reply::ExecStarted { .. }));
    let (output, exit) = collect(slow);
    assert_eq!((output.as_str(), exit.exit_code), ("sent ahead\n", 0));
    container.finish();
}

#[test]
fn an_exec_that_cannot_be_made_is_given_up_in_time() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let group = container.setup.cgroup.clone();
    group.freeze().unwrap();
    let request = exec_request(&["true"]);
    let exec_id = request.exec_id.clone();
    let begin = std::time::Instant::now();
    let failure = container.exec(request).unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout, "{failure}");
    // Before the engine takes the shim for dead.
    assert!(begin.elapsed() < Duration::from_secs(10));
    // On version 1 it cannot even die now; nobody waits for it.
    assert!(container.state().execs.is_empty());
    let gone = Operation::Kill { signal: 15, all: false, exec: Some(exec_id) };
    assert!(container.control.call(gone).is_err());
    group.thaw().unwrap();
    eventually("it is gone", || group.processes().unwrap().len() == 1);
    assert_eq!(container.exec_script("echo alive").0, "alive\n");
    container.finish();
}

#[test]
fn an_exec_can_be_killed_and_ends_with_the_container() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let request = exec_request(&["sleep", "1000"]);
        let exec_id = request.exec_id.clone();
        let mut stream = container.connect();
        stream.call(Operation::Exec(Box::new(request))).unwrap();
        streams.push((exec_id, stream));
    }
    let (exec_id, stream) = streams.remove(0);
    container.call(Operation::Kill { signal: 15, all: false, exec: Some(exec_id) });
    assert_eq!(collect(stream).1.exit_code, 143);
    container.kill(9);
    assert_eq!(collect(streams.remove(0).1).1.exit_code, 137);
    container.gone();
}

/// A client that leaves takes nothing with it.
#[test]
fn an_exec_goes_on_without_its_client() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut stream = container.connect();
    let request = exec_request(&["sh", "-c", "sleep 0.1; yes | head -c 1000000; touch /tmp/done"]);
    stream.call(Operation::Exec(Box::new(request))).unwrap();
    drop(stream);
    let done = container.setup.upper().join("tmp/done");
    eventually("the exec ends its work", || done.exists());
    container.finish();
}

#[test]
fn the_log_has_everything_in_dockers_form() {
    let mut setup =
        Setup::new(&["sh", "-c", "echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three"]);
    let path = setup.dir.path().join("x.log");
    setup.config.log = Some(LogConfig { path: path.clone(), max_size_bytes: None, max_files: 1 });
    let container_dir = setup.dir.path().to_owned();
    let (_, exit) = {
        let mut container = setup.create();
        let stream = container.attach(false);
        container.start();
        let result = collect(stream);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<_> = lines
            .iter()
            .map(|line| (line["stream"].as_str().unwrap(), line["log"].as_str().unwrap()))
            .collect();
        assert_eq!(seen, [("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three")]);
        assert!(lines[0]["time"].as_str().unwrap() < lines[1]["time"].as_str().unwrap());
        container.gone();
        result
    };
    assert_eq!(exit.exit_code, 0);
    assert!(!container_dir.exists());
}

/// Garbage ends the connection it came on, and nothing else.
#[test]
fn garbage_on_the_socket_harms_nobody() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut attached = container.attach(false);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[16, 0, 0, 0, 0, 0, 0, 2, b'{', b'}'],
        &[255; 4096],
        &[16, 0, 0, 0, 255, 255, 255, 255],
        &[1, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut stream = UnixStream::connect(container.setup.bundle.socket_path()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The shim may have hung up before all is written.
        let _ = stream.write_all(garbage);
        let end = std::io::copy(&mut stream, &mut std::io::sink());
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    assert_eq!(container.exec_script("echo alive").0, "alive\n");
    container.kill(9);
    assert!(matches!(attached.output().unwrap(), Some(Output::End(_))));
    container.gone();
}

/// More clients than fit: the rest is shut out, those inside are served.
#[test]
fn too_many_clients_are_shut_out() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let crowd: Vec<Connection> = (0..300).map(|_| container.connect()).collect();
    container.state();
    let mut refused = 0;
    for mut one in crowd {
        match one.call(Operation::State) {
            Ok(_) => {}
            Err(CallError::Io(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "nobody was shut out");
    eventually("there is room again", || container.connect().call(Operation::State).is_ok());
    container.finish();
}

/// What a dead client's place inherits must not be told to the next.
#[test]
fn a_wait_dies_with_its_client() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let mut first = container.connect();
    first.send(Operation::Wait).unwrap();
    drop(first);
    let mut second = container.connect();
    for _ in 0..10 {
        assert!(matches!(second.call(Operation::State).unwrap(), Reply::State(_)));
    }
    container.kill(9);
    // Only the end of the connection, no answer to a question it never asked.
    assert!(second.output().unwrap().is_none());
    container.gone();
}

#[test]
fn without_stdin_it_reads_nothing() {
    let (output, exit) = run(Setup::new(&["wc", "-c"]));
    assert_eq!((output.trim(), exit.exit_code), ("0", 0));
}

/// A process left behind that writes for ever keeps nobody waiting.
#[test]
fn an_exec_ends_though_its_output_goes_on() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.control.set_timeout(Some(Duration::from_secs(10))).unwrap();
    container.start();
    // Who reads nothing meanwhile gets no more than buffers and pipes held.
    let flood = "for i in 1 2 3 4; do cat /dev/zero & done; sleep 0.1";
    for output in [false, true].into_iter().cycle().take(10) {
        let mut stream = container.connect();
        let request = ExecRequest { output, ..exec_request(&["sh", "-c", flood]) };
        stream.call(Operation::Exec(Box::new(request))).unwrap();
        eventually("it is forgotten", || container.state().execs.is_empty());
        let (bytes, exit) = collect(stream);
        assert_eq!(exit.exit_code, 0);
        assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    }
    container.finish();
}

/// What the container wrote before its end is all there, however late it is read.
#[test]
fn the_last_output_of_an_exec_is_not_cut() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    for _ in 0..20 {
        let (output, code) = container.exec_script("yes | head -c 65000; yes | head -c 60000 >&2");
        assert_eq!((output.len(), code), (125_000, 0));
    }
    container.finish();
}

/// Somebody who was given the container's output and outlives it.
#[test]
fn a_container_ends_though_its_output_goes_on() {
    let mut setup = Setup::new(&["sh", "-c", "echo ready; exec sleep 1000"]);
    setup.config.log = None;
    let mut container = setup.create();
    container.control.set_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = container.attach(false);
    container.start();
    read_until(&mut stream, "ready");
    let end = format!("/proc/{}/fd/1", container.pid());
    let write = || {
        let mut end = fs::OpenOptions::new().write(true).open(&end).unwrap();
        std::thread::spawn(move || while end.write_all(&[b'x'; 65536]).is_ok() {})
    };
    let writers = [write(), write(), write(), write()];
    drop(stream);
    container.kill(9);
    assert_eq!(container.wait().exit_code, 137);
    container.gone();
    for writer in writers {
        writer.join().unwrap();
    }
}

/// Who asks on and on and reads no answer is hung up on.
#[test]
fn answers_nobody_reads_do_not_pile_up() {
    let mut container = Setup::new(&["sleep", "1000"]).create();
    container.start();
    let stream = container.connect();
    let mut bytes = Vec::new();
    for id in 0..1000 {
        let request = shoal_runtime::protocol::Request { id, operation: Operation::State };
        shoal_runtime::protocol::encode_request(&request, &mut bytes).unwrap();
    }
    let mut socket = UnixStream::connect(container.setup.bundle.socket_path()).unwrap();
    let refused = (0..500).any(|_| socket.write_all(&bytes).is_err());
    assert!(refused, "it is still answered");
    drop(stream);
    assert_eq!(container.exec_script("echo served").0, "served\n");
    container.finish();
}
