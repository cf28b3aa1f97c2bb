//! Streams of frames.

use gan_video::{ppm, y4m};

/// A y4m stream, or what ffmpeg writes into a pipe (PPM): frames have the size that their header says, and not more of them come than the
/// bytes hold.
pub fn read_video(stream: &[u8]) {
    if let Ok(mut reader) = y4m::Reader::new(stream) {
        let header = *reader.header();
        let line = header.line();
        assert_eq!(y4m::Header::parse(line.trim_end()).unwrap(), header);
        let (layout, mut bytes) = (header.layout(), 0);
        while let Ok(Some(rgb)) = reader.next_frame() {
            assert_eq!(rgb.len(), 3 * layout.width * layout.height);
            bytes += layout.bytes();
        }
        assert!(bytes <= stream.len());
    }
    let (mut rest, mut bytes) = (stream, 0);
    while let Ok(Some(frame)) = ppm::next_frame(&mut rest) {
        let (width, height) = frame.size();
        assert_eq!(frame.rgb().len(), 3 * width * height);
        bytes += frame.file().len();
    }
    assert!(bytes <= stream.len());
}
