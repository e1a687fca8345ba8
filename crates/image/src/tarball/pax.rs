//! pax extended headers: `LENGTH KEY=VALUE\n` records (POSIX.1-2001).

use super::{TarError, number::decimal, sparse::PaxSparse};

/// Prefix of records that carry extended attributes (star, Go, GNU tar).
pub(super) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// What the records say about the next entry.
#[derive(Default, Debug)]
pub(super) struct PaxRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

impl PaxRecords {
    /// Reads all records of one header.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, TarError> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            // Some writers pad with NULs.
            if bytes.iter().all(|&b| b == 0) {
                break;
            }
            let (key, value, rest) =
                split_record(bytes).ok_or_else(|| TarError::format("invalid pax record"))?;
            records.take(key, value)?;
            bytes = rest;
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        match key {
            // An empty value takes the record back.
            _ if value.is_empty() => {}
            b"path" => self.path = Some(name(value, "path")?),
            b"linkpath" => self.link = Some(name(value, "linkpath")?),
            b"size" => self.size = Some(decimal(value, "size")?),
            b"uid" => self.uid = Some(decimal(value, "uid")?),
            b"gid" => self.gid = Some(decimal(value, "gid")?),
            b"mtime" => self.mtime = Some(time(value)?),
            _ => match key.strip_prefix(XATTR_PREFIX) {
                Some(attribute) if attribute.is_empty() || attribute.contains(&0) => {
                    return Err(TarError::format("invalid pax record of an extended attribute"));
                }
                Some(attribute) => self.xattrs.push((attribute.to_vec(), value.to_vec())),
                None => self.sparse.take(key, value)?,
            },
        }
        Ok(())
    }
}

/// One record: key, value, and what follows.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

fn name(value: &[u8], what: &str) -> Result<Vec<u8>, TarError> {
    if value.contains(&0) {
        return Err(TarError::format(format!("pax record {what} holds a NUL")));
    }
    Ok(value.to_vec())
}

/// Seconds with an optional fraction.
fn time(value: &[u8]) -> Result<(i64, u32), TarError> {
    let wrong = || TarError::format("pax record mtime is not a time");
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let mut nanos = 0_u32;
    for index in 0..9 {
        nanos = nanos * 10 + fraction.as_bytes().get(index).map_or(0, |d| u32::from(d - b'0'));
    }
    let whole: i64 = seconds.parse().map_err(|_| wrong())?;
    if seconds.starts_with('-') && nanos > 0 {
        return Ok((whole.checked_sub(1).ok_or_else(wrong)?, 1_000_000_000 - nanos));
    }
    Ok((whole, nanos))
}

/// Appends one record.
pub(super) fn write_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + decimal_digits(length) {
        length = rest + decimal_digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn decimal_digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_written_read_back_whatever_their_length() {
        for length in [1, 2, 80, 86, 87, 88, 89, 90, 91, 985, 990, 10_000] {
            let path = vec![b'p'; length];
            let mut bytes = Vec::new();
            write_record(&mut bytes, b"path", &path);
            write_record(&mut bytes, b"SCHILY.xattr.user.a", b"x=\n\0y");
            let records = PaxRecords::parse(&bytes).unwrap();
            assert_eq!(records.path, Some(path));
            assert_eq!(records.xattrs, [(b"user.a".to_vec(), b"x=\n\0y".to_vec())]);
        }
    }

    #[test]
    fn wrong_records_are_refused() {
        for bytes in [
            &b"5 a=b\n"[..],
            b"99 a=b\n",
            b"x a=b\n",
            b"7 a=b\nx",
            b"-1 a=b\n",
            b"13 path=a\0b\n\n",
            b"14 size=twelve\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert!(PaxRecords::parse(bytes).is_err(), "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn times_with_fractions() {
        assert_eq!(time(b"12.5").unwrap(), (12, 500_000_000));
        assert_eq!(time(b"-1.5").unwrap(), (-2, 500_000_000));
        assert_eq!(time(b"7").unwrap(), (7, 0));
        assert!(time(b"7.x").is_err());
    }
}
