//! Signals of every kind at random instants of a run, one after the other: what they leave is the run that nobody
//! disturbed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // counts are printed for docs/reliability.md

use crate::support;

use gan_rng::{Key, Purpose, Stream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{
    Bench, assert_part_of, assert_same_tensors, newest, repeats, resume, signal, tiny_in, wait, wait_for_part,
    wait_until,
};

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Interrupt,
    Twice,
    Terminate,
    HangUp,
    User,
    InSave,
    Pipe,
    StopAndGoOn,
    ClosedPipes,
    NoDescriptors,
}

use Kind::{ClosedPipes, HangUp, InSave, Interrupt, NoDescriptors, Pipe, StopAndGoOn, Terminate, Twice, User};

const KINDS: [Kind; 10] =
    [Interrupt, Twice, Terminate, HangUp, User, InSave, Pipe, StopAndGoOn, ClosedPipes, NoDescriptors];

const RUNS: [(&str, &[&str]); 4] = [
    ("pix2pix", &["validation.every=3", "validation.limit=2"]),
    ("cyclegan", &["train.accumulate=2"]),
    ("pix2pixhd", &["ema=0.9"]),
    ("cut", &["ema=0.9"]),
];

/// Checkpoints all the time, into which many signals fall, and no end: how far a run gets depends on the machine.
const SETTINGS: [&str; 5] =
    ["max_dataset_size=40", "n_epochs=100000", "save_latest_freq=1", "save_minutes=0", "keep=2"];

/// Starts a launch, and waits until it trains: a new checkpoint is there.
fn started(bench: &Bench, kind: Kind, args: &[String]) -> Child {
    let hint = || std::fs::read_to_string(bench.path("run/checkpoints/latest")).unwrap_or_default();
    let before = hint();
    let mut command = bench.command(args);
    if kind == NoDescriptors {
        let plain = command;
        command = Command::new("sh");
        command.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).arg(plain.get_program()).args(plain.get_args());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(bench.path(""));
    }
    let mut child = command.spawn().unwrap();
    wait_until("a new checkpoint", || hint() != before || child.try_wait().unwrap().is_some());
    child
}

/// Text of standard error, read in a thread of its own: a full pipe would stop the process.
fn reader(child: &mut Child) -> Option<std::thread::JoinHandle<String>> {
    let mut pipe = child.stderr.take()?;
    drop(child.stdout.take());
    Some(std::thread::spawn(move || std::io::read_to_string(&mut pipe).unwrap()))
}

/// One launch of the run. Returns how long it took to end.
fn disturb(bench: &Bench, method: &str, kind: Kind, args: &[String], random: &mut Stream) -> Duration {
    let mut child = started(bench, kind, args);
    let stderr = if kind == ClosedPipes { None } else { reader(&mut child) };
    let mut pause = |most: u64| Duration::from_micros(random.below(1000 * most));
    std::thread::sleep(pause(80));
    let (gap, stopped, after) = (pause(15), pause(200), pause(50));
    let goes_on = |child: &mut Child| assert_eq!(child.try_wait().unwrap(), None, "{method}: {kind:?} ended it");
    let ends_with = |child: &mut Child, name: &str| {
        let sent = Instant::now();
        signal(child, name);
        if kind == Twice {
            std::thread::sleep(gap);
            signal(child, name);
        }
        assert_eq!(wait(child).code(), Some(130), "{method}: {kind:?}");
        sent.elapsed()
    };
    let took = match kind {
        Interrupt | Twice => ends_with(&mut child, "INT"),
        Terminate => ends_with(&mut child, "TERM"),
        HangUp => ends_with(&mut child, "HUP"),
        User => ends_with(&mut child, "USR1"),
        InSave => {
            wait_for_part(&bench.path("run"), ".tmp-", &mut child);
            ends_with(&mut child, "INT")
        }
        // What does not end it: after a while it still trains, and ends like the others.
        Pipe => {
            signal(&child, "PIPE");
            std::thread::sleep(Duration::from_millis(50));
            goes_on(&mut child);
            ends_with(&mut child, "INT")
        }
        StopAndGoOn => {
            signal(&child, "STOP");
            std::thread::sleep(stopped);
            goes_on(&mut child);
            signal(&child, "CONT");
            std::thread::sleep(after);
            ends_with(&mut child, "TERM")
        }
        ClosedPipes => {
            drop((child.stdout.take(), child.stderr.take()));
            std::thread::sleep(Duration::from_millis(60));
            goes_on(&mut child);
            ends_with(&mut child, "INT")
        }
        NoDescriptors => {
            goes_on(&mut child);
            ends_with(&mut child, "INT")
        }
    };
    if let Some(text) = stderr.map(|thread| thread.join().unwrap()).filter(|_| kind != NoDescriptors) {
        assert!(!text.contains("panicked"), "{method}: {kind:?}: {text}");
        if text.contains("interrupted at step") {
            let step = newest(&bench.path("run")).step;
            assert!(text.contains(&format!("interrupted at step {step}; saved run/checkpoints/{step}\n")), "{text}");
        }
    }
    took
}

/// All kinds in a random order, a launch each, against a run that nobody disturbed.
fn round(method: &str, more: &[&str], number: u64) -> (usize, Duration) {
    let bench = Bench::new();
    let settings = [&SETTINGS[..], more].concat();
    let mut random = Key::new(number, Purpose::Test).at(9).stream();
    let mut kinds = KINDS;
    for last in (1..kinds.len()).rev() {
        kinds.swap(last, random.below(last as u64 + 1) as usize);
    }
    let (run, mut args) = (bench.path("run"), tiny_in(method, "run", &settings));
    let mut slowest = Duration::ZERO;
    for kind in kinds {
        let before = newest_step(&run);
        slowest = slowest.max(disturb(&bench, method, kind, &args, &mut random));
        assert!(newest_step(&run) > before, "{method}: {kind:?}: nothing was kept");
        args = resume(method, "run").map(String::from).to_vec();
    }
    let end = format!("max_steps={}", newest_step(&run).unwrap() + 5);
    bench.ok(args.into_iter().chain(["--set".into(), end.clone()]));
    bench.ok(tiny_in(method, "whole", &[&settings[..], &["save_latest_freq=0", "save_epoch_freq=0", &end]].concat()));
    let (last, wanted) = (newest(&run), newest(&bench.path("whole")));
    assert_same_tensors(&last, &wanted);
    assert_eq!(last.state.get("validation"), wanted.state.get("validation"), "{method}");
    (kinds.len(), slowest)
}

fn newest_step(run: &Path) -> Option<u64> {
    support::steps(run).pop()
}

#[test]
fn signals_of_every_kind_at_random_instants() {
    let rounds = repeats(1, 10);
    let done: Vec<_> = std::thread::scope(|scope| {
        let of_method = |at: usize| {
            let (method, more) = RUNS[at];
            // One method is enough for a short run; the long one takes them in turn.
            let numbers = (0..rounds).filter(move |number| number % 4 == at as u64);
            move || numbers.map(|number| round(method, more, number + 1)).collect::<Vec<_>>()
        };
        let threads = [0, 1, 2, 3].map(|at| scope.spawn(of_method(at)));
        threads.map(|thread| thread.join().unwrap()).into_iter().flatten().collect()
    });
    let count: usize = done.iter().map(|(count, _)| count).sum();
    let slowest = done.iter().map(|(_, slowest)| *slowest).max().unwrap();
    println!("{count} launches disturbed in {} kinds; the slowest end took {slowest:.2?}", KINDS.len());
    assert_eq!(count as u64, rounds * KINDS.len() as u64);
}

/// Surroundings in which a program may find itself: it trains the same weights, and writes plain lines.
#[test]
fn surroundings_do_not_matter() {
    let bench = Bench::new();
    std::fs::write(bench.path("a-file"), "").unwrap();
    let file = bench.path("a-file").display().to_string();
    type Surroundings<'a> = (&'a str, bool, &'a [(&'a str, &'a str)]);
    let surroundings: [Surroundings<'_>; 12] = [
        ("plain", false, &[]),
        ("no environment", true, &[]),
        ("dumb terminal", false, &[("TERM", "dumb")]),
        ("unknown terminal", false, &[("TERM", "no-such-terminal")]),
        ("no colour", false, &[("NO_COLOR", "1")]),
        ("forty columns", false, &[("COLUMNS", "40"), ("LINES", "5")]),
        ("locale C", false, &[("LC_ALL", "C"), ("LANG", "C")]),
        ("unknown locale", false, &[("LC_ALL", "xx_YY.KOI8-Q")]),
        ("unknown time zone", false, &[("TZ", ":nowhere/at/all")]),
        ("no home", false, &[("HOME", "/nonexistent/home"), ("XDG_CACHE_HOME", "/nonexistent/cache")]),
        ("home is a file", false, &[("HOME", &file), ("XDG_CACHE_HOME", &file)]),
        ("no temporary folder", false, &[("TMPDIR", "/nonexistent/tmp")]),
    ];
    for (at, (name, empty, variables)) in surroundings.into_iter().enumerate() {
        let run = format!("run-{at}");
        let mut command = bench.command(tiny_in("pix2pix", &run, &["max_steps=2"]));
        if empty {
            command.env_clear();
        }
        let ran: support::Ran = command.envs(variables.iter().copied()).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        assert!(!ran.err.contains(['\u{1b}', '\r']) && ran.out.is_empty(), "{name}: {ran:?}");
        assert_same_tensors(&newest(&bench.path(&run)), &newest(&bench.path("run-0")));
        let mut translate = bench.command(["translate", "--input", "run-0/gallery/images", "--output"]);
        translate.args([&format!("out-{at}"), "--model", &run]).stdin(Stdio::null());
        if empty {
            translate.env_clear();
        }
        let ran: support::Ran = translate.envs(variables.iter().copied()).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
    }
    assert_eq!(assert_part_of(&bench.path("run-11"), &bench.path("run-0")), 1);
}
