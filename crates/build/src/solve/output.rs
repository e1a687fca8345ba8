//! From bytes in pieces to text: a character may be split between two pieces.

/// One stream of bytes.
#[derive(Debug, Default)]
pub(super) struct TextStream {
    /// The beginning of a character whose end has not come yet.
    rest: Vec<u8>,
}

impl TextStream {
    /// The text of a piece, as far as it is complete. What is no UTF-8 becomes
    /// replacement characters.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let incomplete = match self.rest.utf8_chunks().last() {
            Some(chunk) => {
                let tail = chunk.invalid();
                let may_go_on = str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
                if may_go_on { tail.len() } else { 0 }
            }
            None => 0,
        };
        let complete = self.rest.len() - incomplete;
        let text = String::from_utf8_lossy(&self.rest[..complete]).into_owned();
        self.rest.drain(..complete);
        text
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn split_characters_come_out_whole() {
        let mut stream = TextStream::default();
        let euro = "a€b".as_bytes();
        assert_eq!(stream.push(&euro[..2]), "a");
        assert_eq!(stream.push(&euro[2..3]), "");
        assert_eq!(stream.push(&euro[3..]), "€b");
        assert_eq!(stream.push(b"\xff\xe2"), "\u{fffd}");
        assert_eq!(stream.end(), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(text in ".{0,30}", cut in 0usize..100) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut stream = TextStream::default();
            let out = stream.push(&bytes[..cut]) + &stream.push(&bytes[cut..]) + &stream.end();
            prop_assert_eq!(out, text);
        }
    }
}
