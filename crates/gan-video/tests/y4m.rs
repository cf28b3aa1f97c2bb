//! Streams of the format y4m: round trips, damage at every place, hostile headers, and what the fuzzer runs.
#![allow(clippy::unwrap_used)]

use gan_video::y4m::{Chroma, Header, Reader, Writer};
use gan_video::{Error, Rate};

fn header(width: usize, height: usize, chroma: Chroma) -> Header {
    Header { chroma, ..Header::new(width, height, Rate::new(30_000, 1001).unwrap()) }
}

fn stream(header: Header, frames: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    for t in 0..frames {
        let rgb: Vec<u8> = (0..3 * header.width * header.height).map(|i| ((i / 3 + 40 * t) % 200 + 20) as u8).collect();
        writer.write(&rgb).unwrap();
    }
    writer.finish().unwrap()
}

fn frames(stream: &[u8]) -> Result<usize, Error> {
    let mut reader = Reader::new(stream)?;
    let mut count = 0;
    while reader.next_frame()?.is_some() {
        count += 1;
    }
    Ok(count)
}

const ALL: [Chroma; 6] =
    [Chroma::C420Jpeg, Chroma::C420Mpeg2, Chroma::C420Paldv, Chroma::C422, Chroma::C444, Chroma::Mono];

#[test]
fn what_is_written_is_read() {
    for chroma in ALL {
        for full_range in [false, true] {
            let header = Header { full_range, aspect: (4, 3), ..header(7, 5, chroma) };
            let stream = stream(header, 3);
            let mut reader = Reader::new(&stream[..]).unwrap();
            assert_eq!(*reader.header(), header);
            let first = reader.next_frame().unwrap().unwrap();
            assert_eq!(first.len(), 3 * 7 * 5);
            // Grey levels survive every sampling of colour.
            let worst = first.iter().enumerate().map(|(i, v)| v.abs_diff(((i / 3) % 200 + 20) as u8)).max();
            assert!(worst <= Some(2), "{worst:?} {chroma:?}");
            assert_eq!(frames(&stream).unwrap(), 3);
        }
    }
}

/// A stream that is cut anywhere but between frames is refused, and so is one with another word in front of a frame.
#[test]
fn every_cut_is_noticed() {
    let header = header(4, 3, Chroma::C420Mpeg2);
    let whole = stream(header, 2);
    let first = header.line().len();
    let frame = 6 + header.layout().bytes();
    for length in 0..whole.len() {
        let between = length >= first && (length - first).is_multiple_of(frame);
        assert_eq!(frames(&whole[..length]).is_ok(), between, "{length}");
    }
    let mut changed = whole.clone();
    changed[first + frame] = b'G';
    assert!(frames(&changed).unwrap_err().to_string().contains("frame 2"));
    let mut reader = Reader::new(&changed[..]).unwrap();
    assert!(reader.next_frame().unwrap().is_some());
}

#[test]
fn headers_that_are_not_read_say_why() {
    for (line, said) in [
        ("RIFF....", "no YUV4MPEG2"),
        ("YUV4MPEG2 H3 F25:1", "missing"),
        ("YUV4MPEG2 W4 H3", "missing"),
        ("YUV4MPEG2 W4 W4 H3 F25:1", "twice"),
        ("YUV4MPEG2 Wx H3 F25:1", "width"),
        ("YUV4MPEG2 W-4 H3 F25:1", "width"),
        ("YUV4MPEG2 W4 H3 F25", "rate"),
        ("YUV4MPEG2 W4 H3 F0:0", "does not know its rate"),
        ("YUV4MPEG2 W4 H3 F25:1 Z9", "unknown"),
        ("YUV4MPEG2 W4 H3 F25:1 It", "interlaced"),
        ("YUV4MPEG2 W4 H3 F25:1 C420p10", "420p10"),
        ("YUV4MPEG2 W4 H3 F25:1 C444alpha", "444alpha"),
        ("YUV4MPEG2 W0 H3 F25:1", "0x3"),
        ("YUV4MPEG2 W65536 H1 F25:1", "megapixels"),
        ("YUV4MPEG2 W60000 H60000 F25:1", "megapixels"),
        ("YUV4MPEG2 W99999999999999999999 H3 F25:1", "width"),
    ] {
        let error = frames(format!("{line}\nFRAME\n").as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{line}: {error}");
    }
    assert!(frames(b"").unwrap_err().to_string().contains("empty"));
    assert!(frames(&[b'Y'; 5000]).is_err());
    // Tags that say nothing here, parameters of frames, and any order.
    let odd = b"YUV4MPEG2 XYSCSS=420 F25:1 H1 W1 I? Cmono\nFRAME Ip\n\x80FRAME\n\x80";
    assert_eq!(frames(odd).unwrap(), 2);
    assert!(frames(b"YUV4MPEG2 F25:1 H1 W1 Cmono\nFRAME It\n\x80").is_err());
}

/// A header that announces more than comes costs no memory.
#[test]
fn announced_frames_take_no_memory_before_they_come() {
    let line = "YUV4MPEG2 W8192 H8192 F25:1 C444\nFRAME\nabc";
    let error = frames(line.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("cut off"), "{error}");
}

/// The fuzz target's assertion over mutations of small streams.
#[test]
fn mutations_are_read_or_refused() {
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for chroma in ALL {
        let seed = stream(header(5, 3, chroma), 2);
        for _ in 0..2000 {
            let mut bytes = seed.clone();
            for _ in 0..=draw(4) {
                match draw(3) {
                    0 => bytes[draw(seed.len().min(90))] = draw(256) as u8,
                    1 => bytes.truncate(draw(bytes.len()).max(90)),
                    _ => bytes.insert(draw(90), draw(256) as u8),
                }
            }
            if let Ok(mut reader) = Reader::new(&bytes[..]) {
                let bytes_of_frame = reader.header().layout().bytes();
                while let Ok(Some(planes)) = reader.next_planes() {
                    assert_eq!(planes.len(), bytes_of_frame);
                }
            }
        }
    }
}
