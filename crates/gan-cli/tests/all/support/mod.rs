//! What the tests share: runs of the real binary in a folder of their own.
#![allow(dead_code, reason = "each test binary uses a part")]

use gan_train::checkpoint::{self, Snapshot};
use gan_train::storage::Disk;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// `short`, or `long` where the long counts are wanted (`GAN_TEST_LONG=1`): the same test, repeated more often.
pub(crate) fn repeats(short: u64, long: u64) -> u64 {
    if std::env::var_os("GAN_TEST_LONG").is_some_and(|value| value == "1") { long } else { short }
}

/// A folder in which the binary is run.
pub(crate) struct Bench {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary in the bench's folder, blind to the data and features that this machine may have.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gan-cli"));
        command.args(args).current_dir(self.folder.path()).env("GAN_DATA_DIR", self.path("data-dir"));
        command.env("GAN_FEATURE_CACHE", self.path("feature-cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs the binary, which has to succeed.
    #[track_caller]
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    /// A folder `name` with `train` and `test` images drawn by the binary.
    pub(crate) fn synth(&self, kind: &str, name: &str, size: usize, train: usize, test: usize) -> PathBuf {
        let (size, train, test) = (size.to_string(), train.to_string(), test.to_string());
        self.ok(["dataset", "synth", kind, "--out", name, "--size", &size, "--count", &train, "--test", &test]);
        self.path(name)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// Checks that the command failed with this code and that its message has each of these words.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let message = self.err.find("error: ").map_or("", |at| &self.err[at..]);
        for word in words {
            assert!(message.contains(word), "`{word}` is missing in: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// The arguments of a tiny run of a method on procedural images, without `--out`.
pub(crate) fn tiny(method: &str, more: &[&str]) -> Vec<String> {
    let spec = gan_train::find(gan_train::METHODS, method).unwrap();
    let procedural: &[&str] = match method {
        "cyclegan" => &["data.mode=unpaired"],
        "pix2pixhd" => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let small = ["max_dataset_size=4", "workers=0"];
    // The number of halvings is a key of the architecture `unet` alone.
    let other_arch = more.iter().any(|setting| setting.starts_with("generator.arch="));
    let kept =
        spec.smoke_overrides.iter().filter(|setting| !(other_arch && setting.starts_with("generator.num_downs=")));
    let settings = kept.chain(procedural).chain(&small).chain(more);
    let settings = settings.flat_map(|setting| ["--set".to_string(), (*setting).to_string()]);
    ["train", method].into_iter().map(String::from).chain(settings).collect()
}

/// The same with a run folder.
pub(crate) fn tiny_in(method: &str, run: &str, more: &[&str]) -> Vec<String> {
    let mut args = tiny(method, more);
    args.extend(["--out".into(), run.into()]);
    args
}

/// Arguments that go on with a run.
pub(crate) fn resume<'a>(method: &'a str, run: &'a str) -> [&'a str; 5] {
    ["train", method, "--resume", "--out", run]
}

/// The newest checkpoint of a run.
#[track_caller]
pub(crate) fn newest(run: &Path) -> Snapshot {
    checkpoint::load_latest(&Disk, run, None).unwrap().snapshot
}

/// Whether a run has a checkpoint.
pub(crate) fn has_checkpoint(run: &Path) -> bool {
    checkpoint::load_latest(&Disk, run, None).is_ok()
}

/// The steps of a run's checkpoints, ascending.
pub(crate) fn steps(run: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut steps: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// The checkpoint of a step, which has to be whole.
#[track_caller]
pub(crate) fn checkpoint_of(run: &Path, step: u64) -> Snapshot {
    let loaded = checkpoint::load(&Disk, &run.join("checkpoints").join(step.to_string()));
    loaded.unwrap_or_else(|error| panic!("{error}")).snapshot
}

/// Checks that every checkpoint of `run` is the one of that step in `whole`, which has kept all of its own.
/// Returns how many there are.
#[track_caller]
pub(crate) fn assert_part_of(run: &Path, whole: &Path) -> usize {
    let steps = steps(run);
    for step in &steps {
        assert_same_tensors(&checkpoint_of(run, *step), &checkpoint_of(whole, *step));
    }
    steps.len()
}

/// Waits until something in `RUN/checkpoints` has a name with this prefix that the process gave it. False if the process
/// has ended before.
pub(crate) fn wait_for_part(run: &Path, prefix: &str, child: &mut Child) -> bool {
    let (folder, end) = (run.join("checkpoints"), format!("-{}", child.id()));
    let start = Instant::now();
    loop {
        let mut names =
            std::fs::read_dir(&folder).into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
        if names.any(|name| name.starts_with(prefix) && name.ends_with(&end)) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {prefix}*{end}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Checks that two checkpoints agree in step and in every bit of every tensor.
#[track_caller]
pub(crate) fn assert_same_tensors(have: &Snapshot, want: &Snapshot) {
    assert_eq!(have.step, want.step);
    let names = |s: &Snapshot| s.tensors.iter().map(|(file, t)| (file.clone(), t.len())).collect::<Vec<_>>();
    assert_eq!(names(have), names(want));
    for ((file, have), (_, want)) in have.tensors.iter().zip(&want.tensors) {
        for ((name, have), (other, want)) in have.iter().zip(want) {
            assert_eq!(name, other);
            assert_eq!((have.dims(), have.dtype()), (want.dims(), want.dtype()), "{file}: {name}");
            let bits = |t: &candle_core::Tensor| -> Vec<u64> {
                let exact = t.flatten_all().unwrap().to_dtype(candle_core::DType::F64).unwrap();
                exact.to_vec1::<f64>().unwrap().into_iter().map(f64::to_bits).collect()
            };
            assert!(bits(have) == bits(want), "{file}: {name} differs");
        }
    }
}

/// Waits until `done` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of a process.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the end of the process", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Sends a signal, by the name that `kill` has for it.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(status.success(), "kill -{name}");
}
