//! Runs execs.

use std::sync::Arc;

use shoal_model::Classify;
use shoal_runtime::protocol::{ExecRequest, Operation, Reply};
use tokio::sync::mpsc;

use super::Execs;
use super::create::check_ready;
use crate::container::container::Container;
use crate::container::execs::{Exec, ExecState};
use crate::container::{detach_keys, not_running, window};
use crate::domain::StartExec;
use crate::error::{ContainerError, ExecError};
use crate::shim::{Connection, Ends, Leaving, ShimError, is_late, pump};
use crate::spec;
use crate::stream::{Attached, CHANNEL_CHUNKS, Input, Output};

/// Exit code of an exec whose end nobody saw: its container went down with it.
const UNSEEN_EXIT_CODE: i64 = 137;
/// Exit code of an exec that never ran, if nothing better is known; Docker's.
const NEVER_RAN_EXIT_CODE: i64 = 126;

/// An exec that nobody else can start any more. Dropped before it runs, it has ended.
#[derive(Debug)]
pub struct ClaimedExec {
    execs: Execs,
    container: Arc<Container>,
    exec: Arc<Exec>,
    options: StartExec,
}

impl Execs {
    /// Runs it; the connection is `None` when detached. It has started when this returns.
    ///
    /// # Errors
    /// It was started before; its program cannot be run; the container does not run.
    pub async fn start(&self, id: &str, options: StartExec) -> Result<Option<Attached>, ExecError> {
        self.claim(id, options)?.run().await
    }

    /// Makes sure that it can be started, and only by the caller; nothing runs yet.
    ///
    /// # Errors
    /// It was started before; the container does not run.
    pub fn claim(&self, id: &str, options: StartExec) -> Result<ClaimedExec, ExecError> {
        let exec = self.containers.execs.get(id)?;
        let container = self.containers.table.find(exec.container.as_str())?;
        check_ready(&container)?;
        exec.claim()?;
        Ok(ClaimedExec { execs: self.clone(), container, exec, options })
    }

    async fn begin(&self, claimed: &ClaimedExec) -> Result<Option<Attached>, ExecError> {
        let containers = &self.containers;
        let ClaimedExec { execs: _, container, exec, options } = claimed;
        let (container, exec, options) = (Arc::clone(container), Arc::clone(exec), *options);
        let connection = match self.run(&container, &exec, options).await {
            Ok(connection) => connection,
            Err(error) => {
                containers.execs.ended(&exec, exit_code(&error));
                return Err(error);
            }
        };
        let line = exec.request.cmd.join(" ");
        let attributes = [("execID", exec.id.to_string())];
        containers.publish(&container.record(), &format!("exec_start: {line}"), &attributes);
        if options.detach {
            self.follow(container, exec, connection, Ends { output: None, input: None });
            return Ok(None);
        }
        let (output_sender, output) = mpsc::channel(CHANNEL_CHUNKS);
        let (input_sender, input_receiver) = mpsc::channel(CHANNEL_CHUNKS);
        let request = &exec.request;
        let keys = detach_keys(request.detach_keys.clone(), request.tty);
        let attached = Attached {
            tty: request.tty,
            output: Output::new(output),
            input: request.attach_stdin.then(|| Input::new(input_sender, keys)),
        };
        let input = request.attach_stdin.then_some(input_receiver);
        self.follow(container, exec, connection, Ends { output: Some(output_sender), input });
        Ok(Some(attached))
    }

    /// Runs an exec's program; its stream.
    async fn run(
        &self,
        container: &Container,
        exec: &Exec,
        options: StartExec,
    ) -> Result<Connection, ExecError> {
        let operation = Operation::Exec(Box::new(shim_request(container, exec, options)));
        let bundle = self.containers.node.paths.bundle(&container.id);
        match Connection::ask(&bundle, operation).await {
            Ok((connection, Reply::ExecStarted { pid })) => {
                self.containers.execs.started(exec, pid.unsigned_abs());
                Ok(connection)
            }
            Ok((_, other)) => Err(ContainerError::shim(
                &container.id,
                ShimError::Unexpected(format!("{other:?}")),
            )
            .into()),
            Err(ShimError::Failed(failure)) => Err(ExecError::Runtime {
                exit_code: failure.exec_exit_code().into(),
                message: failure.exec_text(),
                kind: failure.kind(),
            }),
            // The container has just ended.
            Err(error @ ShimError::Io(_)) if !is_late(&error) => {
                Err(not_running(&container.id).into())
            }
            Err(error) => Err(ContainerError::shim(&container.id, error).into()),
        }
    }

    /// Moves its bytes and notes its end, in a task of its own.
    fn follow(
        &self,
        container: Arc<Container>,
        exec: Arc<Exec>,
        connection: Connection,
        ends: Ends,
    ) {
        let containers = self.containers.clone();
        self.containers.node.tasks.spawn(async move {
            let exit = tokio::select! {
                exit = follow(&exec, connection, ends) => exit,
                () = containers.node.tasks.closing.cancelled() => return,
            };
            containers.execs.ended(&exec, exit);
            let attributes = [("execID", exec.id.to_string()), ("exitCode", exit.to_string())];
            containers.publish(&container.record(), "exec_die", &attributes);
        });
    }
}

impl ClaimedExec {
    /// Whether it has a terminal.
    pub fn tty(&self) -> bool {
        self.exec.request.tty
    }

    /// Runs it; the connection is `None` when detached. It has started when this returns.
    ///
    /// # Errors
    /// Its program cannot be run; the container does not run any more. It has ended then.
    pub async fn run(self) -> Result<Option<Attached>, ExecError> {
        let node = Arc::clone(&self.execs.containers.node);
        node.tasks.finish(async move { self.execs.begin(&self).await }).await
    }
}

impl Drop for ClaimedExec {
    fn drop(&mut self) {
        if self.exec.state() == ExecState::Starting {
            self.execs.containers.execs.ended(&self.exec, NEVER_RAN_EXIT_CODE);
        }
    }
}

/// The exit code of an exec: its stream is read to the end, also when its client leaves.
async fn follow(exec: &Exec, connection: Connection, ends: Ends) -> i64 {
    match pump(connection, ends, Leaving::Stay).await {
        Ok(Some(ended)) => ended.exit_code.into(),
        Ok(None) => UNSEEN_EXIT_CODE,
        Err(error) => {
            tracing::debug!(exec = %exec.id, error = %error.chain(), "an exec's stream broke off");
            UNSEEN_EXIT_CODE
        }
    }
}

/// What the shim is asked for an exec.
fn shim_request(container: &Container, exec: &Exec, options: StartExec) -> ExecRequest {
    let record = container.record();
    let request = &exec.request;
    let mut env = spec::environment(&record);
    if request.tty && !record.config.tty {
        spec::set_variable(&mut env, "TERM=xterm");
    }
    for variable in &request.env {
        spec::set_variable(&mut env, variable);
    }
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    ExecRequest {
        exec_id: exec.id.to_string(),
        args: request.cmd.clone(),
        env,
        cwd: given(&request.workdir),
        user_text: given(&request.user),
        terminal: request.tty,
        size: options.console_size.or(request.console_size).map(window),
        stdin: request.attach_stdin && !options.detach,
        output: (request.attach_stdout || request.attach_stderr || request.tty) && !options.detach,
        // In a privileged container every process has all rights anyway, and the filter it was
        // given by name is meant.
        privileged: request.privileged,
    }
}

fn exit_code(error: &ExecError) -> i64 {
    match error {
        ExecError::Runtime { exit_code, .. } => *exit_code,
        _ => NEVER_RAN_EXIT_CODE,
    }
}
