//! Times resizing on one thread: `cargo run -p gan-data --example resize_speed`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use gan_data::{Filter, Raster, resize_u8};

fn main() {
    for (from, to) in [
        ((2560, 1600), (320, 200)),
        ((2560, 1600), (2048, 1280)),
        ((2048, 1024), (1024, 512)),
        ((1024, 1024), (286, 286)),
        ((256, 256), (286, 286)),
    ] {
        let source = Raster::from_fn(from.0, from.1, |x, y| [(x * y) as u8, (x + y) as u8, (x ^ y) as u8]);
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            let mut best = f64::INFINITY;
            for _ in 0..15 {
                let start = Instant::now();
                std::hint::black_box(resize_u8(std::hint::black_box(&source), to.0, to.1, filter));
                best = best.min(start.elapsed().as_secs_f64());
            }
            let rate = (from.0 * from.1) as f64 / best / 1e6;
            println!("{from:?} -> {to:?} {filter:?}: {:.2} ms, {rate:.0} Mpx/s of source", best * 1e3);
        }
    }
}
