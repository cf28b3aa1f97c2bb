//! Videos, streams and folders of frames through `gan-cli video`. What needs ffmpeg says so where there is none.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of the tests' own making are opened

use crate::support;

use image::{Rgb, RgbImage};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Bench, signal, tiny_in, wait, wait_until};

/// A run of a tiny generator with instance norms.
fn bench() -> Bench {
    let bench = Bench::new();
    let small = ["max_steps=1", "generator.arch=resnet", "generator.n_blocks=1", "generator.ngf=4"];
    bench.ok(tiny_in("cyclegan", "run", &small));
    bench
}

/// A frame of a scene that moves to the left by two pixels a frame.
fn frame(t: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let x = (x + 2 * t) as f32;
        let level = |phase: f32| (127.0 + 90.0 * (0.21 * x + phase).sin() * (0.17 * y as f32 + phase).cos()) as u8;
        Rgb([level(0.0), level(1.0), level(2.0)])
    })
}

fn frames(folder: &Path, count: u32) {
    fs::create_dir_all(folder).unwrap();
    for t in 0..count {
        // Not in the order of the letters.
        frame(t, 40, 24).save(folder.join(format!("f{t}.png"))).unwrap();
    }
}

fn pngs(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Grey frames as a y4m stream.
fn stream(count: u32) -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W40 H24 F30000:1001 Ip A1:1 C444\n".to_vec();
    for t in 0..count {
        bytes.extend(b"FRAME\n");
        let image = frame(t, 40, 24);
        bytes.extend(image.pixels().map(|pixel| pixel.0[0]));
        bytes.extend([128; 2 * 40 * 24]);
    }
    bytes
}

fn piped(bench: &Bench, args: &[&str], input: &[u8]) -> std::process::Output {
    let mut child = bench.command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[allow(clippy::print_stderr)] // a test that is left out says so
fn ffmpeg() -> bool {
    let there = ["ffmpeg", "ffprobe"].iter().all(|program| {
        Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    if !there {
        eprintln!("skipped: ffmpeg is not installed");
    }
    there
}

#[test]
fn frames_of_a_folder_are_taken_by_their_numbers() {
    let bench = bench();
    frames(&bench.path("in"), 12);
    // Frame by frame they are what `translate` makes of them.
    bench.ok(["video", "in", "off", "--model", "run", "--steady", "off"]);
    bench.ok(["translate", "run", "in", "alone"]);
    assert_eq!(pngs(&bench.path("off")), pngs(&bench.path("alone")));
    let read = |folder: &str, t: u32| fs::read(bench.path(folder).join(format!("f{t}.png"))).unwrap();
    (0..12).for_each(|t| assert_eq!(read("off", t), read("alone", t), "{t}"));
    // Every third, from the second on: of frames 2, 5 and 8, counted from 0.
    bench.ok([
        "video",
        "in",
        "some",
        "--model",
        "run",
        "--steady",
        "off",
        "--rate",
        "10",
        "--start",
        "0.2",
        "--duration",
        "0.9",
        "--every",
        "3",
    ]);
    assert_eq!(pngs(&bench.path("some")), ["f2.png", "f5.png", "f8.png"]);
    assert_eq!(read("some", 5), read("alone", 5));
    // Statistics of all frames are others than those of each.
    bench.ok(["video", "in", "kept", "--model", "run"]);
    assert!((0..12).any(|t| read("kept", t) != read("off", t)));
    bench.ok(["video", "in", "full", "--model", "run", "--steady", "full"]);
    assert!((1..12).any(|t| read("full", t) != read("kept", t)));
    assert!(!bench.path("kept.partial").exists() && !bench.path("full.partial").exists());
}

/// One file of statistics gives a frame the same look, whatever else is translated with it.
#[test]
fn statistics_in_a_file_are_one_look() {
    let bench = bench();
    frames(&bench.path("in"), 6);
    frames(&bench.path("one"), 1);
    bench.ok(["video", "in", "all", "--model", "run", "--statistics", "look.json"]);
    assert!(bench.path("look.json").exists());
    bench.ok(["video", "one", "alone", "--model", "run", "--statistics", "look.json"]);
    bench.ok(["translate", "run", "one/f0.png", "image.png", "--statistics", "look.json"]);
    let all = image::open(bench.path("all/f0.png")).unwrap().to_rgb8();
    assert_eq!(all, image::open(bench.path("alone/f0.png")).unwrap().to_rgb8());
    assert_eq!(all, image::open(bench.path("image.png")).unwrap().to_rgb8());
    // `translate` gathers them, too.
    let ran = bench.ok(["translate", "run", "in", "tiles", "--statistics", "tiles.json"]);
    assert!(ran.err.contains("statistics of 6 images are in tiles.json"), "{}", ran.err);
    bench.ok(["translate", "run", "in/f3.png", "tile.png", "--statistics", "tiles.json"]);
    assert_eq!(fs::read(bench.path("tiles/f3.png")).unwrap(), fs::read(bench.path("tile.png")).unwrap());
    // Of other weights, or damaged.
    bench.ok(tiny_in(
        "cyclegan",
        "other",
        &["max_steps=2", "generator.arch=resnet", "generator.n_blocks=1", "generator.ngf=4"],
    ));
    bench
        .run(["video", "in", "x", "--model", "other", "--statistics", "look.json"])
        .fails(4, &["another model", "--statistics"]);
    fs::write(bench.path("bad.json"), "{}").unwrap();
    bench.run(["translate", "run", "in", "x", "--statistics", "bad.json"]).fails(4, &["bad.json", "--statistics"]);
    assert!(!bench.path("x.partial").exists());
}

#[test]
fn streams_pass_through_pipes() {
    let bench = bench();
    let input = stream(5);
    for steady in ["off", "statistics", "full"] {
        let output = piped(&bench, &["video", "-", "-", "--model", "run", "--steady", steady], &input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let header = output.stdout.split(|b| *b == b'\n').next().unwrap();
        assert_eq!(String::from_utf8_lossy(header), "YUV4MPEG2 W40 H24 F30000:1001 Ip A1:1 C444 XCOLORRANGE=LIMITED");
        assert_eq!(output.stdout.len(), header.len() + 1 + 5 * (6 + 3 * 40 * 24));
    }
    // A file of the same kind, half the frames.
    fs::write(bench.path("in.y4m"), &input).unwrap();
    bench.ok(["video", "in.y4m", "out.y4m", "--model", "run", "--every", "2"]);
    let out = fs::read(bench.path("out.y4m")).unwrap();
    assert!(out.starts_with(b"YUV4MPEG2 W40 H24 F15000:1001 ") && out.len() > 3 * 3 * 40 * 24, "{}", out.len());
    // A stream that is cut off ends the call, and no file of it stays.
    fs::write(bench.path("cut.y4m"), &input[..input.len() - 7]).unwrap();
    bench.run(["video", "cut.y4m", "x.y4m", "--model", "run"]).fails(3, &["frame 5", "cut.y4m", "cut off"]);
    let output = piped(&bench, &["video", "-", "x.y4m", "--model", "run"], b"RIFF and so on");
    assert_eq!(output.status.code(), Some(3));
    assert!(!bench.path("x.y4m").exists());
    assert!(!pngs(&bench.path("")).iter().any(|name| name.contains("tmp")), "{:?}", pngs(&bench.path("")));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let bench = bench();
    frames(&bench.path("in"), 2);
    fs::write(bench.path("notes.txt"), "hello").unwrap();
    let run = |args: &[&str]| bench.run([&["video"], args, &["--model", "run"]].concat());
    run(&["none.mp4", "x.mp4"]).fails(3, &["there is no none.mp4"]);
    run(&["in", "x.png"]).fails(2, &["x.png", "mp4", "folder"]);
    run(&["in", "in"]).fails(2, &["in", "read"]);
    run(&["in", "in/out"]).fails(2, &["in/out", "read"]);
    run(&["in", "notes.txt"]).fails(2, &["notes.txt"]);
    run(&["in", "x", "--spin", "4"]).fails(2, &["--spin", "--steady full"]);
    run(&["in", "x", "--crf", "20"]).fails(2, &["--crf"]);
    run(&["in", "x", "--start", "9"]).fails(3, &["no frames", "--start"]);
    run(&["in", "x.mp4", "--ffmpeg", "none/ffmpeg"]).fails(1, &["none/ffmpeg", "cannot be run"]);
    let said = run(&["in", "x.mp4", "--ffmpeg", "none/ffmpeg"]).err;
    assert!(said.contains("apt-get install ffmpeg") && said.contains("--ffmpeg") && said.contains("y4m"), "{said}");
    assert!(!bench.path("x.mp4").exists() && !bench.path("x.mp4.partial").exists());
}

/// The same call goes on where the first was interrupted, and makes the same frames.
#[cfg(unix)]
#[test]
fn an_interrupted_call_goes_on() {
    let bench = bench();
    frames(&bench.path("in"), 150);
    let args = |out: &str| ["video", "in", out, "--model", "run", "--steady", "full", "--rate", "30"].map(String::from);
    bench.ok(args("whole"));
    let mut child = bench.command(args("out")).spawn().unwrap();
    wait_until("the first frames", || bench.path("out").exists() && pngs(&bench.path("out")).len() >= 5);
    signal(&child, "INT");
    let status = wait(&mut child);
    if status.code() == Some(130) {
        assert!(bench.path("out.partial/state.json").exists());
        // Another call of the same output is not mixed with it.
        bench.run(["video", "in", "out", "--model", "run"]).fails(2, &["out.partial", "--restart"]);
        let ran = bench.ok(args("out"));
        assert!(ran.err.contains("going on after frame"), "{}", ran.err);
    }
    assert_eq!(pngs(&bench.path("out")).len(), 150);
    for name in pngs(&bench.path("out")) {
        assert_eq!(
            fs::read(bench.path("out").join(&name)).unwrap(),
            fs::read(bench.path("whole").join(&name)).unwrap(),
            "{name}"
        );
    }
    assert!(!bench.path("out.partial").exists());
    std::thread::sleep(Duration::from_millis(1));
}

fn run_ffmpeg(bench: &Bench, args: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(args.split(' ')).current_dir(bench.path(""));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn probe(bench: &Bench, file: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_frames", "-show_streams", "-of", "flat", file]).current_dir(bench.path(""));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// Every frame of a video once, in order and in its place in time; sound and rate as they were.
#[test]
fn a_video_with_sound_is_played_back_frame_by_frame() {
    if !ffmpeg() {
        return;
    }
    let bench = bench();
    frames(&bench.path("in"), 120);
    run_ffmpeg(
        &bench,
        "-framerate 30000/1001 -i in/f%d.png -f lavfi -i sine=frequency=440:duration=4 -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:a aac clip.mp4",
    );
    bench.ok(["video", "clip.mp4", "out.mkv", "--model", "run", "--steady", "off", "--lossless"]);
    let found = probe(&bench, "out.mkv");
    for wanted in ["nb_read_frames=\"120\"", "r_frame_rate=\"30000/1001\"", "codec_name=\"ffv1\"", "codec_name=\"aac\""]
    {
        assert!(found.contains(wanted), "{wanted} is missing in {found}");
    }
    // What ffmpeg decodes of the clip, translated image by image, is what the result plays.
    fs::create_dir(bench.path("decoded")).unwrap();
    run_ffmpeg(
        &bench,
        "-i clip.mp4 -vf scale=in_color_matrix=bt709:in_range=tv:flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24 decoded/%04d.ppm",
    );
    bench.ok(["translate", "run", "decoded", "translated"]);
    let played = run_ffmpeg(&bench, "-i out.mkv -vsync passthrough -f rawvideo -pix_fmt rgb24 -");
    let size = 3 * 40 * 24;
    assert_eq!(played.len(), 120 * size);
    for (t, played) in played.chunks(size).enumerate() {
        let wanted = image::open(bench.path(&format!("translated/{:04}.png", t + 1))).unwrap().to_rgb8();
        assert!(wanted.as_raw() == played, "frame {t}");
    }
    // An ordinary video: tags of colour stay, timestamps lie on the grid, across the parts that it was made of.
    bench.ok(["video", "clip.mp4", "out.mp4", "--model", "run"]);
    let found = probe(&bench, "out.mp4");
    for wanted in [
        "nb_read_frames=\"120\"",
        "color_space=\"bt709\"",
        "color_range=\"tv\"",
        "codec_name=\"aac\"",
        "r_frame_rate=\"30000/1001\"",
    ] {
        assert!(found.contains(wanted), "{wanted} is missing in {found}");
    }
    let times = run_ffmpeg(&bench, "-i out.mp4 -map 0:v -vsync passthrough -f framemd5 -");
    let times = String::from_utf8(times).unwrap();
    let times: Vec<i64> = times
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').nth(2).unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(times.len(), 120);
    let step = times[1] - times[0];
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - step).abs() <= 1), "{times:?}");
    // A GIF, and back into frames.
    bench.ok(["video", "clip.mp4", "out.gif", "--model", "run", "--every", "3", "--duration", "2"]);
    assert!(probe(&bench, "out.gif").contains("codec_name=\"gif\""));
    bench.ok(["video", "out.gif", "back", "--model", "run"]);
    assert_eq!(pngs(&bench.path("back")).len(), 20);
    assert_eq!(pngs(&bench.path("back"))[0], "frame-000001.png");
    // What is no video.
    fs::write(bench.path("no.mp4"), "this is no video at all").unwrap();
    bench.run(["video", "no.mp4", "x.mp4", "--model", "run"]).fails(3, &["no.mp4", "no video"]);
}
