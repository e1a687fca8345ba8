//! Files with holes: GNU's old form (type `S`) and the three pax forms.
//!
//! Each comes down to a list of extents: which bytes of the file stand in the
//! archive, in order. Everything between is zero.

use std::io::{BufRead, Read};

use super::{
    BLOCK, TarError,
    number::{decimal, parse_unsigned},
};

/// Most extents of one file. GNU tar makes one per run of data; this many
/// make 16 MiB of memory, and no real file comes near.
const MAX_EXTENTS: usize = 1 << 20;
/// Longest number in a 1.0 map.
const MAX_DIGITS: usize = 20;

/// A run of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where in the file, bytes.
    pub(crate) offset: u64,
    /// How many bytes.
    pub(crate) length: u64,
}

/// The `GNU.sparse.*` records of one entry.
#[derive(Default, Debug)]
pub(super) struct PaxSparse {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    real_size: Option<u64>,
    map: Vec<Extent>,
    pending_offset: Option<u64>,
    seen: bool,
}

/// Where the map of a pax sparse file is.
pub(super) enum PaxForm {
    /// Not sparse.
    Plain,
    /// 0.0 and 0.1: in the records.
    InRecords(Vec<Extent>, u64),
    /// 1.0: in front of the data.
    InData(u64),
}

impl PaxSparse {
    /// Takes a record, if it is one of these; others mean nothing to us.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        self.seen = true;
        match key {
            b"major" => self.major = Some(decimal(value, "GNU.sparse.major")?),
            b"minor" => self.minor = Some(decimal(value, "GNU.sparse.minor")?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => {
                self.real_size = Some(decimal(value, "GNU.sparse.realsize")?);
            }
            b"map" => self.map = parse_map(value)?,
            b"offset" => self.pending_offset = Some(decimal(value, "GNU.sparse.offset")?),
            b"numbytes" => {
                let length = decimal(value, "GNU.sparse.numbytes")?;
                let offset = self
                    .pending_offset
                    .take()
                    .ok_or_else(|| TarError::format("sparse map without an offset"))?;
                push(&mut self.map, Extent { offset, length })?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn form(&mut self) -> Result<PaxForm, TarError> {
        if !self.seen {
            return Ok(PaxForm::Plain);
        }
        let real_size =
            self.real_size.ok_or_else(|| TarError::format("sparse file without a size"))?;
        match (self.major.unwrap_or(0), self.minor.unwrap_or(0)) {
            (0, _) => Ok(PaxForm::InRecords(std::mem::take(&mut self.map), real_size)),
            (1, 0) => Ok(PaxForm::InData(real_size)),
            (major, minor) => {
                Err(TarError::format(format!("unknown sparse format {major}.{minor}")))
            }
        }
    }
}

fn parse_map(value: &[u8]) -> Result<Vec<Extent>, TarError> {
    let mut map = Vec::new();
    let mut numbers = value.split(|&b| b == b',').filter(|text| !text.is_empty());
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or_else(|| TarError::format("sparse map of odd length"))?;
        let offset = decimal(offset, "GNU.sparse.map")?;
        let length = decimal(length, "GNU.sparse.map")?;
        push(&mut map, Extent { offset, length })?;
    }
    Ok(map)
}

fn push(map: &mut Vec<Extent>, extent: Extent) -> Result<(), TarError> {
    if map.len() == MAX_EXTENTS {
        return Err(TarError::format("sparse map is too long"));
    }
    map.push(extent);
    Ok(())
}

/// Reads the 1.0 map from the start of the data: decimal lines, padded to a
/// block. Returns it with the bytes it took.
pub(super) fn read_data_map(data: &mut impl BufRead) -> Result<(Vec<Extent>, u64), TarError> {
    let mut taken = 0_u64;
    let mut line = |data: &mut dyn BufRead| -> Result<u64, TarError> {
        let mut text = Vec::new();
        data.take(MAX_DIGITS as u64 + 1).read_until(b'\n', &mut text)?;
        taken += text.len() as u64;
        let digits = text
            .strip_suffix(b"\n")
            .ok_or_else(|| TarError::format("sparse map is not a list of numbers"))?;
        decimal(digits, "sparse map")
    };
    let count = line(data)?;
    if count > MAX_EXTENTS as u64 {
        return Err(TarError::format("sparse map is too long"));
    }
    let mut map = Vec::new();
    for _ in 0..count {
        let offset = line(data)?;
        let length = line(data)?;
        map.push(Extent { offset, length });
    }
    let padding = taken.next_multiple_of(BLOCK as u64) - taken;
    let skipped = std::io::copy(&mut data.take(padding), &mut std::io::sink())?;
    if skipped != padding {
        return Err(TarError::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((map, taken + padding))
}

/// Reads the map of GNU's old form: four extents in the header, further ones
/// in blocks behind it, each telling whether another follows.
pub(super) fn read_gnu_map(
    header: &[u8; BLOCK],
    input: &mut impl BufRead,
) -> Result<(Vec<Extent>, u64), TarError> {
    let real_size = parse_unsigned(&header[483..495], "realsize")?;
    let mut map = Vec::new();
    take_extents(&header[386..482], &mut map)?;
    let mut more = header[482] != 0;
    while more {
        let mut block = [0; BLOCK];
        input.read_exact(&mut block)?;
        take_extents(&block[..504], &mut map)?;
        more = block[504] != 0;
    }
    Ok((map, real_size))
}

fn take_extents(bytes: &[u8], map: &mut Vec<Extent>) -> Result<(), TarError> {
    for slot in bytes.chunks_exact(24) {
        if slot[0] == 0 {
            break;
        }
        let offset = parse_unsigned(&slot[..12], "sparse offset")?;
        let length = parse_unsigned(&slot[12..], "sparse length")?;
        push(map, Extent { offset, length })?;
    }
    Ok(())
}

/// Checks that extents are in order, within the file, and need exactly the
/// data that is there.
pub(super) fn check(map: &[Extent], real_size: u64, data: u64) -> Result<(), TarError> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for extent in map {
        if extent.offset < end {
            return Err(TarError::format("sparse map is out of order"));
        }
        end = extent
            .offset
            .checked_add(extent.length)
            .filter(|&end| end <= real_size)
            .ok_or_else(|| TarError::format("sparse map reaches past the file"))?;
        sum += extent.length;
    }
    if sum != data {
        return Err(TarError::format("sparse map does not match the data"));
    }
    Ok(())
}
