//! Numbers in tar headers: octal text, or big-endian binary where the first
//! byte has its top bit set (GNU's extension for big values). In pax records
//! they are decimal text.

use super::TarError;

/// Reads a header field.
pub(super) fn parse(field: &[u8], what: &str) -> Result<i64, TarError> {
    let wrong = || TarError::format(format!("header field {what} is not a number"));
    match field.first() {
        Some(first) if first & 0x80 != 0 => binary(field).ok_or_else(wrong),
        _ => octal(field).ok_or_else(wrong),
    }
}

/// Reads a header field that cannot be negative.
pub(super) fn parse_unsigned(field: &[u8], what: &str) -> Result<u64, TarError> {
    u64::try_from(parse(field, what)?)
        .map_err(|_| TarError::format(format!("header field {what} is negative")))
}

/// Reads the value of a pax record.
pub(super) fn decimal<T: std::str::FromStr>(value: &[u8], what: &str) -> Result<T, TarError> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| TarError::format(format!("pax record {what} is not a number")))
}

fn octal(field: &[u8]) -> Option<i64> {
    let text = field.split(|&b| b == 0).next()?.trim_ascii();
    let mut value = 0_i64;
    for &digit in text {
        if !(b'0'..=b'7').contains(&digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Two's complement; the marking bit is not part of the number.
fn binary(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i64 = if negative { -1 } else { 0 };
    for (index, &byte) in field.iter().enumerate() {
        let byte = match index {
            0 if negative => byte | 0x80,
            0 => byte & 0x7f,
            _ => byte,
        };
        let shifted = value.checked_mul(256)?;
        value = shifted | i64::from(byte);
    }
    Some(value)
}

/// Writes `value` as octal text with a closing NUL if it fits.
pub(super) fn write_octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    if digits < 21 && value >> (3 * digits) != 0 {
        return false;
    }
    for (index, slot) in field[..digits].iter_mut().rev().enumerate() {
        *slot = b'0' + ((value >> (3 * index)) & 7) as u8;
    }
    field[digits] = 0;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_binary_fields() {
        assert_eq!(parse(b"0000644\0", "mode").unwrap(), 0o644);
        assert_eq!(parse(b" 644 \0\0\0", "mode").unwrap(), 0o644);
        assert_eq!(parse(b"\0\0\0\0", "mode").unwrap(), 0);
        assert!(parse(b"0000698\0", "mode").is_err());
        let mut big = [0; 12];
        big[0] = 0x80;
        big[7] = 2;
        assert_eq!(parse(&big, "size").unwrap(), 2 << 32);
        assert_eq!(parse(&[0xff; 12], "mtime").unwrap(), -1);
        assert!(parse_unsigned(&[0xff; 12], "size").is_err());
        let mut huge = [0xff; 12];
        huge[0] = 0x80;
        assert!(parse(&huge, "size").is_err());
    }

    #[test]
    fn written_numbers_read_back() {
        let mut field = [0; 12];
        assert!(write_octal(&mut field, 0o77_777_777_777));
        assert_eq!(parse(&field, "size").unwrap(), 0o77_777_777_777);
        assert!(!write_octal(&mut field, 1 << 33));
        assert!(!write_octal(&mut [0; 8], 1 << 21));
    }
}
