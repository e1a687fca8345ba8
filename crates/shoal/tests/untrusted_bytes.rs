//! Every reader of bytes from outside, with generated input: what the fuzz
//! targets call, in the ordinary test run.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a library where the fuzz targets use it")]
mod readers;

use proptest::prelude::*;

/// Pieces that get a reader further than noise does.
const PIECES: [&[u8]; 24] = [
    b"FROM a AS b\n",
    b"RUN <<EOF\n",
    b"EOF\n",
    b"COPY --from=b ",
    b"ENV a=b ",
    b"ONBUILD ",
    b"# escape=`\n",
    b"\\\n",
    b"${x:-",
    b"}",
    b"'",
    b"\"",
    b"!**/",
    b"[a-c]",
    b"localhost:5000/",
    b"@sha256:",
    b":latest",
    b"2006-01-02T15:04:05",
    b"1h2m3s",
    b"linux/arm64",
    b"\x01\0\0\0",
    b"ustar\0",
    b"\xff\xfe",
    b"\0\0\0\x10",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(PIECES.to_vec()).prop_map(<[u8]>::to_vec),
        "[a-z0-9 ./:=$*?-]{0,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_reader_survives_any_bytes(bytes in bytes()) {
        for (name, read) in readers::READERS {
            let outcome = std::panic::catch_unwind(|| read(&bytes));
            prop_assert!(outcome.is_ok(), "{} of {:?}", name, String::from_utf8_lossy(&bytes));
        }
    }
}
