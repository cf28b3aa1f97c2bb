//! What a file holds, told from its first bytes.

use std::io::Read;
use std::path::Path;

/// What the beginning of a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// An image of a format that is read here.
    Image,
    /// An image of another format: its usual ending.
    Unsupported(&'static str),
    /// Anything else, or what cannot be read.
    Other,
}

/// Looks at the first bytes of a regular file.
pub(crate) fn sniff(path: &Path) -> Content {
    let Ok((file, metadata)) = gan_fs::open_regular(path) else { return Content::Other };
    let mut head = Vec::new();
    match file.take(16).read_to_end(&mut head) {
        Ok(_) => of_bytes(&head, metadata.len()),
        Err(_) => Content::Other,
    }
}

/// `head` is (at least the beginning of) a file of `length` bytes. Short magics that begin many a text are checked further.
pub(crate) fn of_bytes(head: &[u8], length: u64) -> Content {
    let at = |from: usize, magic: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(magic));
    let images: [&[u8]; 7] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8"];
    let bmp_length = head.get(2..6).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let is_bmp = at(0, b"BM") && bmp_length.is_some_and(|n| u64::from(n) == length);
    let is_pnm = matches!(head, [b'P', b'1'..=b'6', space, next, ..]
        if space.is_ascii_whitespace() && (next.is_ascii_digit() || *next == b'#'));
    if images.iter().any(|magic| at(0, magic)) || (at(0, b"RIFF") && at(8, b"WEBP")) || is_bmp || is_pnm {
        return Content::Image;
    }
    let others: [(usize, &[u8], &'static str); 9] = [
        (4, b"ftypavi", "avif"),
        (4, b"ftyphei", "heic"),
        (4, b"ftypmif1", "heif"),
        (4, b"ftypmsf1", "heif"),
        (0, b"\xff\x0a", "jxl"),
        (0, b"\0\0\0\x0cJXL ", "jxl"),
        (0, b"\0\0\0\x0cjP  ", "jp2"),
        (0, b"8BPS", "psd"),
        (0, b"qoif", "qoi"),
    ];
    others
        .iter()
        .find(|(from, magic, _)| at(*from, magic))
        .map_or(Content::Other, |other| Content::Unsupported(other.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_images() {
        for text in ["BMW and others", "P1 was first", "P3", "II* and MM", "RIFF", "", "GIF"] {
            assert_eq!(of_bytes(text.as_bytes(), text.len() as u64), Content::Other, "{text}");
        }
        assert_eq!(of_bytes(b"P6\n4 4\n255\n", 59), Content::Image);
        assert_eq!(of_bytes(b"BM\x10\0\0\0", 16), Content::Image);
        assert_eq!(of_bytes(b"RIFF\x10\0\0\0WEBPVP8 ", 24), Content::Image);
        assert_eq!(of_bytes(b"\0\0\0\x1cftypavis", 24), Content::Unsupported("avif"));
    }
}
