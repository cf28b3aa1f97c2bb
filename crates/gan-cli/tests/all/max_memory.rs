//! `translate --max-memory`: any size within a limit, with the same bytes.

use crate::support::{Bench, tiny_in};
use std::fs;

/// A tiny run, and an image of so many pixels.
fn furnished(width: u32, height: u32) -> Bench {
    let bench = Bench::new();
    bench.ok(tiny_in("cyclegan", "run", &["max_steps=1"]));
    let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + y) as u8, (y * 3) as u8, (x ^ y) as u8]);
    image::RgbImage::from_fn(width, height, pixel).save(bench.path("in.png")).unwrap();
    bench
}

#[test]
fn the_limit_changes_no_byte() {
    let bench = furnished(1000, 1210);
    let translate = |output: &str, more: &[&str]| {
        let args = ["translate", "run", "in.png", output];
        bench.run(args.iter().chain(more))
    };
    assert_eq!(translate("whole.png", &["--max-memory", "64GiB"]).code, Some(0));
    // What it takes at least is said, and suffices.
    let refused = translate("none.png", &["--max-memory", "1MiB"]);
    refused.fails(5, &["1212 pixels need", "it may take 1 MiB: raise --max-memory", "--preprocess scale_width"]);
    let needed = refused.err.split(" need ").nth(1).unwrap().split(" of memory").next().unwrap().replace(' ', "");
    assert!(!bench.path("none.png").exists());

    fs::create_dir(bench.path("scratch")).unwrap();
    let limit = ["--max-memory", &needed, "--scratch", "scratch"];
    let plan = translate("none.png", &[&limit[..], &["--plan"]].concat());
    assert_eq!(plan.code, Some(0), "{plan:?}");
    for said in ["in.png: 1000 x 1212 pixels", "memory", "all at once", "files", "sweeps", "multiply-adds", "roughly"] {
        assert!(plan.out.contains(said), "{said} is missing in {}", plan.out);
    }
    assert!(!bench.path("none.png").exists());
    assert_eq!(translate("bands.png", &limit).code, Some(0));
    assert!(fs::read(bench.path("bands.png")).unwrap() == fs::read(bench.path("whole.png")).unwrap());
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0);

    // The same plan for programs.
    let plan = translate("none.png", &[&limit[..], &["--plan", "--json"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    let plan = &plan["plans"][0];
    assert_eq!(
        (&plan["input"], &plan["row_by_row"], &plan["at_once"]),
        (&"in.png".into(), &true.into(), &false.into())
    );
    for key in [
        "width",
        "height",
        "memory_bytes",
        "memory_at_once_bytes",
        "parameters_bytes",
        "packed_weights_bytes",
        "sweeps",
        "multiply_adds",
    ] {
        assert!(plan[key].as_u64().is_some_and(|number| number > 0), "{key} in {plan}");
    }
    assert!(plan["seconds"].as_f64().is_some() && plan["moved_bytes"].as_u64() >= plan["scratch_bytes"].as_u64());
    // What is there already is looked at to its end, and left.
    let skipped = translate("bands.png", &[&limit[..], &["--skip-existing"]].concat());
    assert!(skipped.err.contains("1 skipped"), "{skipped:?}");
}

#[test]
fn pixels_are_limited_by_memory_alone_if_that_is_limited() {
    let bench = Bench::new();
    bench.ok(tiny_in("cyclegan", "run", &["max_steps=1"]));
    // One row of more pixels than a side may have.
    image::GrayImage::from_fn(70_000, 1, |x, _| image::Luma([x as u8])).save(bench.path("wide.png")).unwrap();
    let translate = |more: &[&str]| bench.run(["translate", "run", "wide.png", "out.tif"].iter().chain(more));
    translate(&[]).fails(3, &["wide.png is 70000x1", "give --max-memory", "scale it down"]);
    let limited = translate(&["--max-memory", "600MiB"]);
    assert_eq!(limited.code, Some(0), "{limited:?}");
    assert_eq!(image::image_dimensions(bench.path("out.tif")).unwrap(), (70_000, 1));
}

#[test]
fn what_is_asked_for_in_a_wrong_way() {
    let bench = furnished(40, 40);
    let translate = |more: &[&str]| bench.run(["translate", "run", "in.png", "out.png"].iter().chain(more));
    translate(&["--max-memory", "1GX"]).fails(2, &["such as 1GiB"]);
    translate(&["--max-memory", "1GiB", "--scratch", "none"]).fails(2, &["none is no folder", "--scratch"]);
    let plan = translate(&["--plan", "--max-memory", "1GiB"]);
    assert!(plan.code == Some(0) && plan.out.contains("all of the image at once"), "{plan:?}");
}

#[test]
fn other_commands_refuse_before_they_start() {
    let bench = furnished(40, 40);
    fs::create_dir(bench.path("frames")).unwrap();
    for t in 0..3 {
        fs::copy(bench.path("in.png"), bench.path(&format!("frames/{t}.png"))).unwrap();
    }
    bench.ok(tiny_in("pix2pix", "pairs", &["max_steps=1"]));
    let styles = ["instance_feat=true", "nef=4", "n_downsample_e=2", "max_steps=1"];
    bench.ok(tiny_in("pix2pixhd", "styles", &styles));

    let commands: [(&[&str], &str); 4] = [
        (&["video", "frames", "video", "--model", "run"], "video"),
        (&["video", "frames", "off", "--model", "run", "--steady", "off"], "off"),
        (&["evaluate", "--model", "pairs", "--metrics", "l1", "--json", "report.json"], "report.json"),
        (&["encode-features", "--model", "styles"], "styles/features"),
    ];
    for (command, written) in commands {
        let refused = bench.run(command.iter().chain(&["--max-memory", "1MiB"]));
        refused.fails(5, &["need", "it may take 1 MiB: raise --max-memory"]);
        assert!(!bench.path(written).exists() && !bench.path(&format!("{written}.partial")).exists(), "{command:?}");
        bench.ok(command.iter().chain(&["--max-memory", "2GiB"]));
        assert!(bench.path(written).exists(), "{command:?}");
    }
}
