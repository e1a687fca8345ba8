//! One layer to a registry: not at all if it has it, by reference if another
//! of its repositories has it, else from the kept blob, else compressed on the
//! way out.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use shoal_model::{Classify as _, Digest, Reference};
use tokio::sync::mpsc;

use super::super::{
    Inner,
    layers::{Encoding, Form},
    pull::blocking,
};
use crate::{
    Error, LayerState, Progress, ProgressSink, Result,
    layer::{SumWriter, channel, compress},
    remote::{Body, Session, Upload},
};

/// Chunks between disk and network.
const QUEUE: usize = 16;
/// Bytes of one chunk.
const CHUNK: usize = 128 << 10;
/// Tries of a layer on a connection that breaks (Docker's number is 5).
const MAX_TRIES: u32 = 3;
/// Before the second try; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes between two progress events.
const TELL_STEP: u64 = 512 << 10;

/// Everything one layer needs.
#[derive(Clone, Copy)]
pub(super) struct Send<'a> {
    pub(super) store: &'a Arc<Inner>,
    pub(super) session: &'a Session,
    pub(super) name: &'a Reference,
    pub(super) diff_id: &'a Digest,
    pub(super) sink: &'a ProgressSink,
}

impl Send<'_> {
    /// Makes sure the registry has the layer, as `wanted` if that is given;
    /// the form it has.
    pub(super) async fn run(self, wanted: Option<Form>) -> Result<Form> {
        let record = self.store.layer_record(self.diff_id)?;
        // An uncompressed form is kept here, and never sent.
        let usable = |form: &&Form| form.encoding != Encoding::Plain;
        let mut candidates: Vec<Form> = match wanted {
            Some(wanted) => vec![wanted],
            None => record.forms.iter().filter(usable).cloned().collect(),
        };
        candidates.sort_by_key(|form| (!form.stored, form.encoding != Encoding::Gzip));
        for form in &candidates {
            if self.session.has_blob(&form.digest).await? {
                tell(self.sink, self.diff_id, LayerState::LayerAlreadyExists, 0, 0);
                return self.learn(form.clone()).await;
            }
        }
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            match self.attempt(&candidates, record.tar_size).await {
                Ok(form) => return self.learn(form).await,
                Err(Error::Remote(error)) if error.is_passing() && tries < MAX_TRIES => {
                    tracing::info!(layer = %self.diff_id, error = %error.chain(), "sending again");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(Error::Cancelled("push".into()))
    }

    async fn attempt(&self, candidates: &[Form], tar_size: u64) -> Result<Form> {
        let mut place = None;
        for form in candidates {
            let Some(source) = mountable(form, self.name).next() else { continue };
            match self.session.begin_upload(Some((&form.digest, source.path()))).await? {
                Upload::Mounted => {
                    let from = LayerState::MountedFrom(source.path().into());
                    tell(self.sink, self.diff_id, from, 0, 0);
                    return Ok(form.clone());
                }
                Upload::To(url) => {
                    place = Some(url);
                    break;
                }
            }
        }
        let url = match place {
            Some(url) => url,
            None => match self.session.begin_upload(None).await? {
                Upload::To(url) => url,
                Upload::Mounted => {
                    return Err(Error::invalid("push", "the registry mounted nothing"));
                }
            },
        };
        let form = match candidates.iter().find(|form| form.stored) {
            Some(form) => self.kept(&url, form).await?,
            None => self.compressed(&url, tar_size).await?,
        };
        tell(self.sink, self.diff_id, LayerState::Pushed, 0, 0);
        Ok(form)
    }

    /// Sends the blob as it is.
    async fn kept(&self, url: &str, form: &Form) -> Result<Form> {
        let mut file = self.store.open_blob(&form.digest)?;
        let (sender, body) = mpsc::channel(QUEUE);
        let out = self.out(sender, form.size);
        let reading = blocking(move || {
            let mut out = out;
            let mut buffer = vec![0; CHUNK];
            // A registry that refuses early closes the other end.
            while let Ok(length @ 1..) = file.read(&mut buffer)
                && out.write_all(&buffer[..length]).is_ok()
            {}
            let _ = out.flush();
            Ok(())
        });
        let sending = self.session.upload(url, &form.digest, form.size, body);
        let (sent, read) = tokio::join!(sending, reading);
        sent?;
        read?;
        Ok(form.clone())
    }

    /// Compresses on the way; the digest is known at the end.
    async fn compressed(&self, url: &str, tar_size: u64) -> Result<Form> {
        let (sender, body) = mpsc::channel(QUEUE);
        let out = self.out(sender, tar_size);
        let (store, diff_id) = (self.store.clone(), self.diff_id.clone());
        let packing = blocking(move || pack(&store, &diff_id, out));
        let sending = self.session.upload_stream(url, body);
        let (sent, packed) = tokio::join!(sending, packing);
        let (digest, size) = match (sent, packed) {
            (Ok(url), Ok(packed)) => {
                self.session.finish_upload(&url, &packed.0).await?;
                packed
            }
            // The reader of a body that breaks off only sees that it did.
            (_, Err(error)) if !is_closed(&error) => return Err(error),
            (Err(error), _) => return Err(error.into()),
            (Ok(_), Err(error)) => return Err(error),
        };
        Ok(Form { digest, size, encoding: Encoding::Gzip, stored: false, sources: Vec::new() })
    }

    async fn learn(&self, mut form: Form) -> Result<Form> {
        form.add_source(self.name);
        let (store, diff_id, learned) = (self.store.clone(), self.diff_id.clone(), form.clone());
        blocking(move || store.learn_form(&diff_id, learned)).await?;
        Ok(form)
    }

    fn out(&self, sender: mpsc::Sender<io::Result<Bytes>>, total: u64) -> Out {
        let (sink, diff_id) = (self.sink.clone(), self.diff_id.clone());
        let tell = Box::new(move |current| {
            tell(&sink, &diff_id, LayerState::Pushing, current, total);
        });
        Out { sender, buffer: Vec::new(), done: 0, told: 0, tell }
    }
}

/// Repositories of the same registry that have the form.
pub(super) fn mountable<'a>(
    form: &'a Form,
    target: &'a Reference,
) -> impl Iterator<Item = &'a Reference> {
    let sources = form.sources.iter().rev();
    sources.filter(|source| source.domain() == target.domain() && source.path() != target.path())
}

/// Tells where a layer is.
pub(super) fn tell(
    sink: &ProgressSink,
    diff_id: &Digest,
    state: LayerState,
    current: u64,
    total: u64,
) {
    sink(Progress::Layer { id: diff_id.short().into(), state, current, total });
}

/// A document as a body.
pub(super) fn body_of(bytes: Vec<u8>) -> Body {
    let (sender, body) = mpsc::channel(1);
    // There is room for one, and the receiver is at hand.
    let _ = sender.try_send(Ok(Bytes::from(bytes)));
    body
}

fn is_closed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.0.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes the layer's gzip form; its digest and size.
fn pack(store: &Inner, diff_id: &Digest, out: Out) -> Result<(Digest, u64)> {
    std::thread::scope(|scope| {
        let (mut writer, reader) = channel();
        let writing = scope.spawn(move || match store.write_layer(diff_id, &mut writer) {
            Ok(()) => writer.finish().map_err(Error::io("send layer")),
            Err(error) => {
                writer.fail(io::ErrorKind::UnexpectedEof.into());
                Err(error)
            }
        });
        let mut out = SumWriter::new(out);
        let compressed = compress(reader, &mut out).and_then(|()| out.flush());
        let written =
            writing.join().unwrap_or_else(|_| Err(Error::Cancelled("reading a layer".into())));
        let (mut out, digest, size) = out.finish();
        match (compressed, written) {
            (Ok(()), Ok(())) => Ok((digest, size)),
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Error::io("send layer")(error))
            }
            (compressed, written) => {
                // An upload must not look complete.
                out.abort();
                written
                    .and(compressed.map_err(Error::io("compress layer")))
                    .map(|()| (digest, size))
            }
        }
    })
}

/// The body of an upload as a writer.
struct Out {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    done: u64,
    told: u64,
    tell: Box<dyn Fn(u64) + std::marker::Send>,
}

impl Out {
    fn abort(&mut self) {
        let _ = self.sender.blocking_send(Err(io::ErrorKind::UnexpectedEof.into()));
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.done += chunk.len() as u64;
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        if self.done - self.told >= TELL_STEP {
            self.told = self.done;
            (self.tell)(self.done);
        }
        Ok(())
    }
}
