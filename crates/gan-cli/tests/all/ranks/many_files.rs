//! A folder that three processes translate, one of which is killed. `GAN_MANY_FILES` says how many files: 400, unless it is set.

use super::{as_rank, command_of_rank, count, files};
use crate::support::{Bench, tiny_in, wait_until};
use image::{Rgb, RgbImage};
use std::fs;

const RANKS: usize = 3;

#[test]
fn nothing_is_lost_when_one_of_three_is_killed() {
    let (bench, count) = (Bench::new(), count("GAN_MANY_FILES", 400));
    let small = [
        "max_steps=1",
        "generator.arch=resnet",
        "generator.n_blocks=1",
        "generator.ngf=4",
        "load_size=24",
        "crop_size=24",
    ];
    bench.ok(tiny_in("pix2pix", "run", &small));
    fs::create_dir(bench.path("in")).unwrap();
    for number in 0..count as u32 {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([number as u8, (number >> 8) as u8, (15 * x + y) as u8]));
        image.save(bench.path(&format!("in/{number:05}.png"))).unwrap();
    }
    let translate = ["translate", "run", "in", "out", "--skip-existing", "--json"];
    let mut ranks: Vec<_> =
        (0..RANKS).map(|rank| command_of_rank(&bench, rank, RANKS, &translate).spawn().unwrap()).collect();
    wait_until("the second process's first result", || bench.path("out/00001.png").exists());
    ranks[1].kill().unwrap();
    for (rank, child) in ranks.into_iter().enumerate() {
        assert_eq!(child.wait_with_output().unwrap().status.success(), rank != 1);
    }
    let left = count - complete(&bench).len();
    assert!(left > 0, "the killed process had done all its work");
    // The job is repeated.
    let mut written = 0;
    for rank in 0..RANKS {
        let ran = as_rank(&bench, rank, RANKS, &translate);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        written += serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["written"].as_u64().unwrap();
    }
    assert_eq!(written, left as u64, "what is there is not made again");
    // Every result is that of one process.
    bench.ok(["translate", "run", "in", "whole"]);
    let (made, whole) = (complete(&bench), files(&bench.path("whole")));
    assert_eq!((made.len(), whole.len()), (count, count));
    assert!(made == whole);
}

/// Results that are there under their names: what the kill cut short is in a temporary file.
fn complete(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    files(&bench.path("out")).into_iter().filter(|(name, _)| !gan_fs::is_temporary(name)).collect()
}
