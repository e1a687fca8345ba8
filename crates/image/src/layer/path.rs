//! Paths of tar entries, made harmless as text: relative to the layer's root,
//! without `.` and `..`. Symbolic links on the way are the business of
//! [`super::root`].

use super::LayerError;

/// What the names of whiteouts begin with (OCI image-spec, "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Names for the use of aufs begin so; one of them is the opaque mark.
const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";
/// Says that nothing of the directory below shows through.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A path within a layer; empty for the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LayerPath(Vec<u8>);

impl LayerPath {
    /// Reads a path of the archive.
    ///
    /// # Errors
    /// When it climbs above the root or holds a NUL.
    pub(super) fn parse(text: &[u8]) -> Result<Self, LayerError> {
        let wrong = || LayerError::Path(String::from_utf8_lossy(text).chars().take(200).collect());
        if text.contains(&0) {
            return Err(wrong());
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in text.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or_else(wrong)?;
                }
                _ => parts.push(part),
            }
        }
        Ok(Self(parts.join(&b'/')))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Directory and name within it.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (b"", &self.0),
        }
    }

    /// The same directory, another name.
    pub(super) fn sibling(&self, name: &[u8]) -> Self {
        match self.split().0 {
            b"" => Self(name.to_vec()),
            parent => Self([parent, b"/", name].concat()),
        }
    }
}

/// What the last part of a path says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// An object.
    Plain,
    /// The object of this name in the layers below is gone.
    Whiteout(&'a [u8]),
    /// Nothing in the layers below this directory shows.
    Opaque,
    /// Of no use outside of aufs.
    Ignored,
}

/// Reads a name.
///
/// # Errors
/// For a whiteout of no name or of a directory link: `.wh...` would mean `..`.
pub(super) fn classify(name: &[u8]) -> Result<Name<'_>, LayerError> {
    if name == OPAQUE {
        return Ok(Name::Opaque);
    }
    if name.starts_with(WHITEOUT_META_PREFIX) {
        return Ok(Name::Ignored);
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        None => Ok(Name::Plain),
        Some(b"" | b"." | b"..") => {
            Err(LayerError::Path(String::from_utf8_lossy(name).into_owned()))
        }
        Some(hidden) => Ok(Name::Whiteout(hidden)),
    }
}

/// The tar name of the whiteout that hides `name`.
pub(super) fn whiteout_name(name: &[u8]) -> Vec<u8> {
    [WHITEOUT_PREFIX, name].concat()
}

/// The tar name of the opaque mark.
pub(super) fn opaque_name() -> &'static [u8] {
    OPAQUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_stay_below_the_root() {
        for (text, clean) in [
            ("./etc/passwd", "etc/passwd"),
            ("/etc//passwd/", "etc/passwd"),
            ("./", ""),
            ("a/../b", "b"),
            ("a/./../b/c/..", "b"),
        ] {
            assert_eq!(LayerPath::parse(text.as_bytes()).unwrap().as_bytes(), clean.as_bytes());
        }
        for text in ["..", "../x", "/..", "a/../../b", "a\0b"] {
            assert!(LayerPath::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn whiteouts_of_no_name_are_refused() {
        assert_eq!(classify(b".wh.a").unwrap(), Name::Whiteout(b"a"));
        assert_eq!(classify(b".wh..wh..opq").unwrap(), Name::Opaque);
        assert_eq!(classify(b".wh..wh.plnk").unwrap(), Name::Ignored);
        assert_eq!(classify(b"a.wh.b").unwrap(), Name::Plain);
        for name in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(classify(name).is_err(), "{}", name.escape_ascii());
        }
    }
}
