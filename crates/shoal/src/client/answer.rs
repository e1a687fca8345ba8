//! What a daemon answers: a refusal, one document, or a stream of them.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::Response;
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Incoming;
use serde_json::Value;

use super::Refusal;

/// Lets an answer through, unless it is an error.
///
/// # Errors
/// [`Refusal`] with what the daemon said.
pub(super) async fn refuse(response: Response<Incoming>) -> Result<Response<Incoming>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let bytes = response.into_body().collect().await.context("reading the answer")?.to_bytes();
    let message = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
    Err(Refusal { status, message }.into())
}

/// The whole document of an answer; null for an empty one.
///
/// # Errors
/// A broken connection, and what is no JSON.
pub(super) async fn read_document(response: Response<Incoming>) -> Result<Value> {
    let bytes = response.into_body().collect().await.context("reading the answer")?.to_bytes();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).context("reading the answer")
}

/// The bytes of an answer as they come.
pub(crate) fn pieces(response: Response<Incoming>) -> impl Stream<Item = Result<Bytes>> + Unpin {
    let stream = BodyStream::new(response.into_body());
    Box::pin(stream.filter_map(|piece| async move {
        match piece {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(anyhow!(error).context("reading the answer"))),
        }
    }))
}

/// The JSON documents of an answer as they come.
pub(crate) fn documents(response: Response<Incoming>) -> impl Stream<Item = Result<Value>> + Unpin {
    let source = (pieces(response), Vec::new(), false);
    Box::pin(futures_util::stream::unfold(source, |(mut pieces, mut held, done)| async move {
        if done {
            return None;
        }
        loop {
            if let Some(next) = next_document(&mut held) {
                return Some((next, (pieces, held, false)));
            }
            match pieces.next().await {
                Some(Ok(piece)) => held.extend_from_slice(&piece),
                Some(Err(error)) => return Some((Err(error), (pieces, held, true))),
                None => return None,
            }
        }
    }))
}

/// Takes the first whole document out of `held`.
fn next_document(held: &mut Vec<u8>) -> Option<Result<Value>> {
    let mut reader = serde_json::Deserializer::from_slice(held).into_iter::<Value>();
    let next = reader.next()?;
    let read = reader.byte_offset();
    match next {
        Ok(value) => {
            held.drain(..read);
            Some(Ok(value))
        }
        Err(error) if error.is_eof() => None,
        Err(error) => {
            held.clear();
            Some(Err(anyhow!(error).context("reading the answer")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_where_they_end() {
        let mut held = b"{\"a\":1}\r\n{\"b\":".to_vec();
        let first = next_document(&mut held).expect("one").expect("a document");
        assert_eq!(first["a"], 1);
        assert!(next_document(&mut held).is_none());
        held.extend_from_slice(b"2}\n");
        assert_eq!(next_document(&mut held).expect("one").expect("a document")["b"], 2);
        held.extend_from_slice(b"}{");
        assert!(next_document(&mut held).expect("one").is_err());
    }
}
