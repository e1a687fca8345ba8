//! The protocol's reader against everything: it never panics, never gives out what
//! was not sent, and never holds more than a frame.

use proptest::prelude::*;
use shoal_runtime::protocol::{
    Decoder, ExecRequest, FrameKind, HEADER_LENGTH, MAX_STREAM_PAYLOAD, Operation, Request,
    WindowSize, encode, encode_request,
};

/// Frames of a stream: what was sent, and as bytes.
fn frames() -> impl Strategy<Value = Vec<(FrameKind, Vec<u8>)>> {
    let kind = prop_oneof![
        Just(FrameKind::Stdin),
        Just(FrameKind::Stdout),
        Just(FrameKind::Stderr),
        Just(FrameKind::Request),
        Just(FrameKind::Response),
        Just(FrameKind::End),
    ];
    let frame = (kind, prop::collection::vec(any::<u8>(), 0..2000));
    prop::collection::vec(frame, 0..20)
}

fn operation() -> impl Strategy<Value = Operation> {
    let exec = ("[a-z]{1,8}", prop::collection::vec(".*", 0..5), any::<(bool, bool, bool)>())
        .prop_map(|(exec_id, args, (terminal, stdin, output))| {
            let request =
                ExecRequest { exec_id, args, terminal, stdin, output, ..ExecRequest::default() };
            Operation::Exec(Box::new(request))
        });
    let kill = (any::<i32>(), any::<bool>(), prop::option::of(".*"))
        .prop_map(|(signal, all, exec)| Operation::Kill { signal, all, exec });
    let resize = (any::<u16>(), any::<u16>()).prop_map(|(rows, columns)| Operation::Resize {
        exec: None,
        size: WindowSize { rows, columns },
    });
    prop_oneof![
        Just(Operation::Create),
        Just(Operation::Start),
        Just(Operation::Wait),
        exec,
        kill,
        resize,
    ]
}

proptest! {
    #[test]
    fn what_is_sent_arrives(sent in frames(), cuts in prop::collection::vec(1usize..5000, 1..20)) {
        let mut bytes = Vec::new();
        for (kind, payload) in &sent {
            encode(*kind, payload, &mut bytes);
        }
        let mut decoder = Decoder::new();
        let mut arrived = Vec::new();
        let mut rest = bytes.as_slice();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            decoder.push(now);
            rest = later;
            while let Some(frame) = decoder.next_frame().unwrap() {
                arrived.push((frame.kind, frame.payload.to_vec()));
            }
            prop_assert!(decoder.pending() < MAX_STREAM_PAYLOAD + HEADER_LENGTH);
        }
        prop_assert_eq!(arrived, sent);
        prop_assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn garbage_is_an_error_or_frames_and_ends(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let mut given = 0;
        while let Ok(Some(frame)) = decoder.next_frame() {
            given += HEADER_LENGTH + frame.payload.len();
            // Any payload may be asked to be any message.
            let _ = (frame.request(), frame.response(), frame.exit());
        }
        prop_assert!(given <= bytes.len());
    }

    /// A damaged byte gives an error or another frame, never more than was there.
    #[test]
    fn damage_is_contained(sent in frames(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = Vec::new();
        for (kind, payload) in &sent {
            encode(*kind, payload, &mut bytes);
        }
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = value;
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let mut given = 0;
        while let Ok(Some(frame)) = decoder.next_frame() {
            given += HEADER_LENGTH + frame.payload.len();
        }
        prop_assert!(given + decoder.pending() <= bytes.len());
    }

    #[test]
    fn requests_survive(id in any::<u64>(), operation in operation()) {
        let request = Request { id, operation };
        let mut bytes = Vec::new();
        encode_request(&request, &mut bytes).unwrap();
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let frame = decoder.next_frame().unwrap().unwrap();
        prop_assert_eq!(frame.request().unwrap(), request);
    }
}
