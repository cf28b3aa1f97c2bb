//! An ffmpeg that breaks off, sends something else, or answers nonsense: whole frames come, then an error in its words.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gan_video::Error;
use gan_video::ffmpeg::{Ffmpeg, Section, Video};
use gan_video::ppm::Frame;

const ANSWER: &str = r#"{"streams": [{"codec_type": "video", "width": 3, "height": 2, "r_frame_rate": "25/1",
    "avg_frame_rate": "25/1", "nb_frames": "2"}], "format": {}}"#;

/// Programs of the shell in place of ffmpeg and ffprobe: what they do lies in files beside them.
fn fake(folder: &Path) -> Ffmpeg {
    let answers = "case \"$2\" in -version) echo 'ffmpeg version 6.0'; exit;; -encoders) exit;; esac";
    for name in ["ffmpeg", "ffprobe"] {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{answers}\ncd {}\n. ./{name}.does\n", folder.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Ffmpeg::find(Some(&folder.join("ffmpeg"))).unwrap()
}

/// The frames that come, and the error behind them.
fn decode(ffmpeg: &Ffmpeg, video: &Video) -> (usize, Option<Error>) {
    let mut decoder = ffmpeg.decode(Path::new("video.mp4"), video, &Section::default()).unwrap();
    let mut frames = 0;
    loop {
        match decoder.next_frame() {
            Ok(Some(_)) => frames += 1,
            Ok(None) => return (frames, None),
            Err(error) => {
                // What has failed has no more frames.
                assert!(matches!(decoder.next_frame(), Ok(None)));
                return (frames, Some(error));
            }
        }
    }
}

/// One test: a program must not be written while another thread starts one.
#[test]
fn what_breaks_off_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let ffmpeg = fake(folder.path());
    let does = |program: &str, text: &str| fs::write(folder.path().join(format!("{program}.does")), text).unwrap();
    does("ffprobe", &format!("cat <<'END'\n{ANSWER}\nEND\n"));
    let video = ffmpeg.probe(Path::new("video.mp4")).unwrap();
    assert_eq!((video.size, video.frames), ((3, 2), Some(2)));

    let frame = Frame::of_rgb(3, 2, &[7; 18]).unwrap().file().to_vec();
    fs::write(folder.path().join("two"), [&frame[..], &frame].concat()).unwrap();
    fs::write(folder.path().join("large"), "P6\n60000 60000\n255\nabc").unwrap();
    for cut in 0..=2 * frame.len() {
        // The shell takes a moment: every cut of the header, and some of the pixels.
        if cut > 12 && cut % 5 > 0 && cut != frame.len() && cut < 2 * frame.len() - 1 {
            continue;
        }
        does("ffmpeg", &format!("head -c {cut} two"));
        let (frames, error) = decode(&ffmpeg, &video);
        assert_eq!((frames, error.is_none()), (cut / frame.len(), cut % frame.len() == 0), "{cut}: {error:?}");
    }
    for (text, frames, said) in [
        ("cat two; echo it broke >&2; exit 1", 2, "it broke"),
        ("head -c 20 two; echo it broke >&2; exit 1", 0, "it broke"),
        ("cat two; kill -9 $$", 2, "signal"),
        ("exit 3", 0, "3"),
        ("cat two; echo garbage; cat two", 2, "no frame"),
        ("cat large", 0, "megapixels"),
        ("cat two; head -c 300 /dev/zero", 2, "no frame"),
        ("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i + 1)); done; exit 1", 0, "line 2999"),
    ] {
        does("ffmpeg", text);
        let (came, error) = decode(&ffmpeg, &video);
        let error = error.unwrap().to_string();
        assert_eq!(came, frames, "{text}: {error}");
        assert!(error.contains(said) && error.len() < 2000, "{text}: {error}");
    }
    for (answer, good) in [
        (ANSWER.to_owned(), true),
        (ANSWER[..100].to_owned(), false),
        (String::new(), false),
        ("[]".to_owned(), false),
        ("{}".to_owned(), false),
        ("[".repeat(50_000), false),
        (ANSWER.replace("\"width\": 3", "\"width\": 0"), false),
        (ANSWER.replace("\"width\": 3", "\"width\": -3"), false),
        (ANSWER.replace("\"width\": 3", "\"width\": \"3\""), false),
        (ANSWER.replace("25/1", "0/0"), true),
        (ANSWER.replace("25/1", "4294967295/1"), true),
        (ANSWER.replace("\"2\"", "\"99999999999999999999\""), true),
    ] {
        does("ffprobe", &format!("cat <<'END'\n{answer}\nEND\n"));
        match ffmpeg.probe(Path::new("video.mp4")) {
            Ok(video) => assert!(good && video.size == (3, 2) && video.rate.per_second() > 0.0, "{answer}"),
            Err(error) => {
                assert!(!good && error.to_string().contains("video.mp4"), "{answer}: {error}");
            }
        }
    }
}
