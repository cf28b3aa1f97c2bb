//! Records of an event file: a length, its checksum, the data, their checksum (the TFRecord format).

use std::io::{self, Read};

/// Bytes of a record beside its data.
pub(super) const OVERHEAD: u64 = 16;

/// Longer records are not ours.
const MAX: u64 = 256 << 20;

/// The data as a record.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + OVERHEAD as usize);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked(data).to_le_bytes());
    record
}

/// CRC-32C, rotated and offset, so that a checksum of data with checksums in them is none of them.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of the next record; `None` at the end, and where what follows is no whole record.
///
/// # Errors
/// Those of the reader.
pub(super) fn next(from: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let Some(header) = exactly(from, 12)? else { return Ok(None) };
    let (length, checksum) = header.split_at(8);
    let size = length.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    if masked(length).to_le_bytes() != checksum || size > MAX {
        return Ok(None);
    }
    let Some(mut data) = exactly(from, size + 4)? else { return Ok(None) };
    let checksum = data.split_off(size as usize);
    Ok((masked(&data).to_le_bytes() == *checksum).then_some(data))
}

/// So many bytes, if there are as many.
fn exactly(from: &mut dyn Read, count: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = from.take(count).read_to_end(&mut bytes)?;
    Ok((read as u64 == count).then_some(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // An event file begins with a record of 24 bytes: 18 00 00 00 00 00 00 00 a3 7f 4b 22.
        assert_eq!(framed(&[0; 24])[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
        let crc = crc32c::crc32c(b"123456789");
        assert_eq!(crc, 0xe306_9283, "the check value of CRC-32C");
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5, "computed bit by bit from the definition");
    }

    #[test]
    fn torn_and_damaged_records_end_the_file() {
        let whole = [framed(b"one"), framed(b""), framed(b"three")].concat();
        let read = |bytes: &[u8]| {
            let (mut from, mut found) = (bytes, Vec::new());
            while let Some(data) = next(&mut from).unwrap() {
                found.push(String::from_utf8(data).unwrap());
            }
            found
        };
        assert_eq!(read(&whole), ["one", "", "three"]);
        for length in 0..whole.len() {
            let count = [19, 35, whole.len()].iter().filter(|end| **end <= length).count();
            assert_eq!(read(&whole[..length]).len(), count, "{length}");
        }
        for at in 0..19 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_empty(), "{at}");
        }
    }
}
