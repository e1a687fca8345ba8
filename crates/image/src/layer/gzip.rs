//! gzip on several threads: the stream is cut into pieces that are compressed
//! each for itself and written one behind the other, as RFC 1952 allows. The
//! result depends on the input alone, not on the number of threads.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{Builder, Scope},
};

use super::pipe::ChunkReader;

/// Bytes of one piece: large enough that starting anew (the window is 32 KiB)
/// costs about one percent.
const PIECE: usize = 2 << 20;
/// Measured on system libraries: level 6 takes 60 percent longer for 5 percent
/// less, level 1 takes 30 percent less time for 19 percent more.
const LEVEL: u32 = 2;
/// More threads than this only wait for the disk or the network.
const MAX_THREADS: usize = 8;

type Piece = io::Result<Vec<u8>>;

/// Compresses `input` to `out`.
///
/// # Errors
/// The input's or the output's.
pub(crate) fn compress(input: ChunkReader, out: &mut impl Write) -> io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    std::thread::scope(|scope| {
        let mut feeds = Vec::new();
        let mut results = Vec::new();
        for _ in 0..threads {
            let (feed, result) = worker(scope)?;
            feeds.push(feed);
            results.push(result);
        }
        Builder::new()
            .name("gzip-feed".into())
            .spawn_scoped(scope, move || feed_all(input, &feeds))?;
        for result in results.iter().cycle() {
            match result.recv() {
                Ok(piece) => out.write_all(&piece?)?,
                // The feeder goes round in the same order: the first worker
                // without work is behind the last piece.
                Err(_) => break,
            }
        }
        Ok(())
    })
}

fn worker<'scope>(
    scope: &'scope Scope<'scope, '_>,
) -> io::Result<(SyncSender<Piece>, Receiver<Piece>)> {
    let (feed, pieces) = sync_channel::<Piece>(1);
    let (done, result) = sync_channel::<Piece>(1);
    Builder::new().name("gzip".into()).spawn_scoped(scope, move || {
        for piece in pieces {
            if done.send(piece.and_then(|piece| member(&piece))).is_err() {
                break;
            }
        }
    })?;
    Ok((feed, result))
}

fn feed_all(mut input: ChunkReader, feeds: &[SyncSender<Piece>]) {
    for (index, feed) in feeds.iter().cycle().enumerate() {
        let mut piece = Vec::with_capacity(PIECE);
        let read = input.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let last = !matches!(read, Ok(length) if length == PIECE);
        // An empty input still is one (empty) member.
        let send = index == 0 || !matches!(read, Ok(0));
        if send && feed.send(read.map(|_| piece)).is_err() {
            return;
        }
        if last {
            return;
        }
    }
}

fn member(piece: &[u8]) -> Piece {
    let level = flate2::Compression::new(LEVEL);
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(piece.len() / 2), level);
    encoder.write_all(piece)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::channel;

    fn round_trip(data: &[u8]) -> Vec<u8> {
        let (mut writer, reader) = channel();
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(data).unwrap();
                writer.finish().unwrap();
            });
            compress(reader, &mut out).unwrap();
        });
        out
    }

    #[test]
    fn what_is_compressed_reads_back() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 17] {
            let data: Vec<u8> = (0..length).map(|i| (i * i / 1000) as u8).collect();
            let packed = round_trip(&data);
            assert_eq!(packed, round_trip(&data));
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
            assert!(plain == data, "{length}");
        }
    }

    #[test]
    fn a_source_that_dies_makes_an_error() {
        let (mut writer, reader) = channel();
        writer.write_all(&[1; 1000]).unwrap();
        drop(writer);
        assert!(compress(reader, &mut Vec::new()).is_err());
    }
}
