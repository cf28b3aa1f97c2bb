//! Image files.

use std::path::Path;

use gan_data::{
    AlphaPolicy, DecodeLimits, DecodeOptions, Error, IdRowReader, Image, LabelsAs, RowReader, decode, decode_bytes,
    decode_ids, decode_ids_bytes, pages, probe_bytes,
};

use super::scratch;

/// Small ones, so that each input takes microseconds.
const LIMITS: DecodeLimits = DecodeLimits { max_pixels: 1 << 18, max_bytes: 4 << 20, max_side: 65_535 };

fn options() -> DecodeOptions {
    DecodeOptions { limits: LIMITS, alpha: AlphaPolicy::Keep, ..DecodeOptions::default() }
}

/// An image of any format: what is decoded has the size that its header was read to have.
pub fn decode_image(file: &[u8]) {
    let path = Path::new("image");
    for page in 0..pages(file).min(2) {
        let options = DecodeOptions { page, ..options() };
        let probed = probe_bytes(path, file, &options);
        if let Ok(image) = decode_bytes(path, file, &options) {
            let header = probed.unwrap();
            assert_eq!((header.width as usize, header.height as usize), image.size());
            assert_eq!((usize::from(header.channels), header.depth), (image.channels(), image.depth()));
            assert!(u64::from(header.width) * u64::from(header.height) <= LIMITS.max_pixels);
        }
        for labels_as in [LabelsAs::Ids, LabelsAs::Rgb] {
            let _ = decode_ids_bytes(path, file, &DecodeOptions { labels_as, ..options });
        }
    }
}

/// PNG, TIFF and BigTIFF some rows at a time: the same pixels, or the same refusal, as at once.
pub fn read_rows(file: &[u8]) {
    let path = scratch::file("image", file);
    let options = options();
    let whole = decode(&path, &options);
    match RowReader::open(&path, &options) {
        Ok(None) => {}
        Err(error) => assert!(whole.is_err(), "only in rows: {error}"),
        Ok(Some(mut reader)) => {
            let header = reader.header();
            let (width, height) = (header.width as usize, header.height as usize);
            let mut bands = Vec::new();
            for start in (0..height).step_by(5) {
                match reader.read(&(start..height.min(start + 5))) {
                    Ok(band) => bands.push(band),
                    Err(error) => {
                        assert!(whole.is_err(), "only in rows: {error}");
                        return;
                    }
                }
            }
            match &whole {
                Ok(whole) => {
                    assert_eq!(((width, height), usize::from(header.channels)), (whole.size(), whole.channels()));
                    assert_eq!(bands.iter().flat_map(samples).collect::<Vec<_>>(), samples(whole));
                    // Back to the beginning.
                    assert_eq!(samples(&reader.read(&(0..1)).unwrap()), samples(&bands[0])[..width * whole.channels()]);
                }
                // A limit on what is in memory at once says nothing of rows.
                Err(Error::TooLarge { .. }) => {}
                Err(error) => panic!("only as a whole: {error}"),
            }
        }
    }
    if let Ok(Some(mut reader)) = IdRowReader::open(&path, &options) {
        let height = reader.size().1;
        let rows = reader.read(&(0..height));
        if let (Ok(rows), Ok(whole)) = (rows, decode_ids(&path, &options)) {
            assert_eq!(rows, whole);
        }
    }
}

fn samples(image: &Image) -> Vec<u16> {
    match image {
        Image::U8(raster) => raster.samples().iter().map(|x| u16::from(*x)).collect(),
        Image::U16(raster) => raster.samples().to_vec(),
    }
}
