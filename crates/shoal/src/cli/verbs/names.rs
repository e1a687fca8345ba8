//! One thing done to many objects.

use std::marker::PhantomData;

use anyhow::Result;
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::Object;
use crate::cli::exit::{self, Exit};
use crate::cli::shell::Shell;
use crate::client::{Query, refused_with};
use crate::print;

/// The objects a verb is for.
#[derive(Debug, Args)]
pub(in crate::cli) struct Names<K: Object> {
    #[arg(required = true, value_name = K::KIND.placeholder, help = K::KIND.naming)]
    pub(in crate::cli) names: Vec<String>,
    #[arg(skip)]
    kind: PhantomData<K>,
}

impl<K: Object> Names<K> {
    /// Posts `verb` to each, and prints the names of those it was done to.
    ///
    /// # Errors
    /// As [`each`].
    pub(in crate::cli) async fn act(&self, shell: &Shell, verb: &str, query: Query) -> Result<()> {
        each(&self.names, async |name| {
            shell.client.act(&format!("{}/{verb}", K::KIND.path(name)), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }

    /// Removes each, and prints the names of those that are gone.
    ///
    /// # Errors
    /// As [`each`].
    pub(in crate::cli) async fn remove(&self, shell: &Shell, query: Query) -> Result<()> {
        each(&self.names, async |name| {
            shell.client.delete(&K::KIND.path(name), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }

    /// Removes each by force: one that is not there is said, and no failure.
    /// What was done to the others is printed as `steps` puts it.
    ///
    /// # Errors
    /// As [`each`].
    pub(in crate::cli) async fn force_away(
        &self,
        shell: &Shell,
        query: Query,
        steps: impl Fn(&str, &Value) -> String,
    ) -> Result<()> {
        each(&self.names, async |name| {
            match shell.client.delete(&K::KIND.path(name), &query).await {
                Ok(answer) => Ok(steps(name, &answer)),
                Err(error) if refused_with(&error, StatusCode::NOT_FOUND) => {
                    exit::say(&error);
                    Ok(String::new())
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// Does something to each object, prints what it returns unless that is empty,
/// goes on past errors, and fails at the end if there was one.
///
/// # Errors
/// After everything was tried; at once when nobody reads any more.
pub(in crate::cli) async fn each(
    names: &[String],
    act: impl AsyncFn(&str) -> Result<String>,
) -> Result<()> {
    try_each(names, act, |text| match text.as_str() {
        "" => Ok(()),
        text => Ok(print::line(text)?),
    })
    .await
}

/// Takes what comes of each object, says what went wrong with the others, and
/// fails at the end if there were any.
pub(super) async fn try_each<T>(
    names: &[String],
    act: impl AsyncFn(&str) -> Result<T>,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut failed = false;
    for name in names {
        match act(name).await {
            Ok(done) => take(done)?,
            Err(error) => {
                exit::say(&error);
                failed = true;
            }
        }
    }
    if failed { Err(Exit(1).into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;
    use clap::{CommandFactory, Parser};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;
    use crate::cli::verbs::Network;
    use crate::client::{Address, Client};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        networks: Names<Network>,
    }

    #[test]
    fn a_kind_says_how_its_objects_are_named() {
        let help = Line::command().render_help().to_string();
        assert!(help.contains("<NETWORK>...  Names, or"), "{help}");
        let line = Line::try_parse_from(["rm", "a", "b"]).expect("two names");
        assert_eq!(line.networks.names, ["a", "b"]);
        assert!(Line::try_parse_from(["rm"]).is_err());
    }

    /// Answers one request with a status, and gives its first line.
    async fn answer(listener: &UnixListener, status: &str) -> String {
        let (stream, _) = listener.accept().await.expect("a request");
        let mut stream = BufReader::new(stream);
        let (mut first, mut line) = (String::new(), String::new());
        stream.read_line(&mut first).await.expect("a first line");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.expect("a header");
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("an answer");
        first.trim_end().to_owned()
    }

    #[tokio::test]
    async fn each_is_removed_at_its_kinds_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shell = Shell { client: Client::new(Address::Unix(socket)) };
        let line = Line::try_parse_from(["rm", "gone", "my net"]).expect("two names");
        let daemon = async {
            let first = answer(&listener, "404 Not Found").await;
            [first, answer(&listener, "204 No Content").await]
        };
        let query = Query::new().with_flag("force", true);
        let (asked, done) = tokio::join!(daemon, line.networks.remove(&shell, query));
        let error = done.expect_err("one was not there");
        assert_eq!(error.downcast_ref(), Some(&Exit(1)), "it was said already");
        assert_eq!(
            asked,
            [
                "DELETE /v1.50/networks/gone?force=1 HTTP/1.1",
                "DELETE /v1.50/networks/my%20net?force=1 HTTP/1.1"
            ]
        );
    }

    #[tokio::test]
    async fn only_what_is_not_there_need_not_be_forced_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shell = Shell { client: Client::new(Address::Unix(socket)) };
        let line = Line::try_parse_from(["rm", "gone"]).expect("a name");
        let force = async || {
            let steps = |name: &str, _: &Value| name.to_owned();
            line.networks.force_away(&shell, Query::new(), steps).await
        };
        let (_, done) = tokio::join!(answer(&listener, "404 Not Found"), force());
        done.expect("as good as removed");
        let (_, done) = tokio::join!(answer(&listener, "409 Conflict"), force());
        done.expect_err("it is still there");
    }

    #[tokio::test]
    async fn an_error_does_not_keep_the_others_from_being_tried() {
        let names = ["a", "bad", "c"].map(str::to_owned);
        let tried = RefCell::new(Vec::new());
        let act = async |name: &str| {
            tried.borrow_mut().push(name.to_owned());
            if name == "bad" { bail!("no") } else { Ok(name.len()) }
        };
        let mut taken = Vec::new();
        let take = |length| {
            taken.push(length);
            Ok(())
        };
        let error = try_each(&names, act, take).await.expect_err("one failed");
        assert_eq!(error.downcast_ref(), Some(&Exit(1)), "it was said already");
        assert_eq!(*tried.borrow(), names);
        assert_eq!(taken, [1, 1]);
        try_each(&names[..1], async |_: &str| Ok(()), |()| Ok(())).await.expect("all done");
    }
}
