//! Words of the API that are numbers on the wire: a word's number is its place in a list.

use super::ConvertError;

/// The number of a word; an unknown or default word is 0.
pub(super) fn number(words: &[&str], word: &str) -> i32 {
    words.iter().position(|known| *known == word).map_or(0, |place| place as i32)
}

/// The word of a number.
pub(super) fn word(
    what: &'static str,
    words: &[&str],
    number: i32,
) -> Result<String, ConvertError> {
    usize::try_from(number)
        .ok()
        .and_then(|place| words.get(place))
        .map(|word| (*word).to_owned())
        .ok_or_else(|| ConvertError::new(what, format!("unknown number {number}")))
}
