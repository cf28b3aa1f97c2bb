//! Images that would take more than they seem to, or that are none. The model never sees them.

use crate::support::{Answer, Running, encoded, picture};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Sends it twice, to a model that must not see it, and looks at time and memory.
#[track_caller]
fn refused(bytes: &[u8], status: u16, word: &str) -> Answer {
    let (server, model) = Running::new();
    let begun = Instant::now();
    server.post("", bytes).refuses(status, word);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    let resident = resident_mib();
    assert!(resident < 600, "{resident} MiB are resident");
    server.still_works();
    server.post("", bytes)
}

/// Resident memory of this process, in MiB; 0 where the system does not tell.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&name[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// A PNG whose header says this size.
fn png_of(width: u32, height: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let idat = chunk(b"IDAT", &[0x78, 1, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 1]);
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &more.concat(), &idat, &chunk(b"IEND", b"")].concat()
}

#[test]
fn a_png_of_65535_pixels_squared() {
    refused(&png_of(65_535, 65_535, &[]), 413, "65535x65535");
}

#[test]
fn a_png_of_two_billion_pixels() {
    refused(&png_of(0x7fff_ffff, 0x7fff_ffff, &[]), 422, "scale it down");
}

#[test]
fn a_long_thin_png() {
    refused(&png_of(1, 65_535, &[]), 413, "8192");
}

#[test]
fn a_webp_of_16383_pixels_squared() {
    // Lossless: 14 bits a side behind the signature.
    let (side, signature) = (16_382u32, 0x2f);
    let bits = side | side << 14;
    let data = [&[signature][..], &bits.to_le_bytes(), &[0; 3]].concat();
    let body = [&b"WEBPVP8L"[..], &(data.len() as u32).to_le_bytes(), &data].concat();
    refused(&[&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat(), 413, "16383x16383");
}

#[test]
fn a_jpeg_of_65500_pixels_squared() {
    let side = 65_500u16.to_be_bytes();
    let frame = [&[0xff, 0xc0, 0, 11, 8][..], &side, &side, &[1, 1, 0x11, 0]].concat();
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0, 0xff, 0xd9];
    let bytes = [&[0xff, 0xd8][..], &frame, &scan].concat();
    let (server, model) = Running::new();
    let answer = server.post("", &bytes);
    assert!(matches!(answer.status, 413 | 422), "{answer:?}");
    assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    server.still_works();
}

#[test]
fn a_profile_that_unpacks_to_more() {
    let profile = chunk(b"iCCP", &[&b"x\0\0"[..], &[0x78, 0xda], &[0xed; 4000]].concat());
    let (server, _) = Running::new();
    let answer = server.post("", &png_of(9000, 9000, &[profile]));
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(resident_mib() < 600);
}

#[test]
fn other_formats_are_refused_by_their_first_bytes() {
    let tiff = b"II*\0\x08\0\0\0\0\0\0\0\0\0";
    let gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff;";
    for bytes in [
        &tiff[..],
        gif,
        b"BM\x10\0\0\0",
        b"P6 9999 9999 255\n",
        b"<svg onload='alert(1)'/>",
        b"\0\0\0\x1cftypavif",
        b"%PDF-1.4",
        b"PK\x03\x04",
    ] {
        let (server, model) = Running::new();
        server.post("", bytes).refuses(415, "no PNG, JPEG or WebP");
        assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn html_with_the_name_of_an_image_is_no_image_and_comes_back_nowhere() {
    let answer = refused(b"<!DOCTYPE html><script>alert(1)</script>", 415, "no PNG");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("script"));
}

#[test]
fn an_empty_body_is_said_to_be_empty() {
    refused(b"", 400, "empty");
}

#[test]
fn truncated_images_are_refused_by_the_model() {
    let (server, model) = crate::models::pix2pix();
    let whole = picture(64, 64);
    for cut in [20, 40, whole.len() / 2, whole.len() - 12] {
        let answer = server.post("", &whole[..cut]);
        assert!(matches!(answer.status, 415 | 422), "cut at {cut}: {answer:?}");
    }
    assert_eq!(server.post("", &whole).status, 200);
    drop(model);
}

#[test]
fn an_image_at_the_limit_is_let_through_and_one_beyond_it_is_not() {
    let (server, model) = Running::new();
    let limit = encoded(image::GrayImage::new(4096, 4096).into());
    assert!(limit.len() < 1 << 20);
    assert_eq!(server.post("", &limit).status, 200);
    server.post("", &encoded(image::GrayImage::new(4096, 4097).into())).refuses(413, "16 megapixels");
    assert_eq!(model.begun.load(Ordering::SeqCst), 1);
}
