//! Measuring: medians and minima, of wall-clock or of processor time.
use std::time::Instant;

/// How to measure, from the arguments `[FILTER] [RUNS]` and the environment.
///
/// On a machine that others use too, wall-clock time says little: with `GAN_TIME=cpu` (and `RAYON_NUM_THREADS=1`) it is
/// the processor time of all threads of this process (Linux).
pub(crate) struct Timer {
    filter: String,
    runs: usize,
    cpu: bool,
}

impl Timer {
    pub(crate) fn from_args() -> Self {
        // `cargo bench` adds `--bench`.
        let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
        Timer {
            filter: args.next().unwrap_or_default(),
            runs: args.next().map_or(7, |r| r.parse().unwrap()),
            cpu: std::env::var("GAN_TIME").is_ok_and(|v| v == "cpu"),
        }
    }

    /// Whether a case is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Median and minimum of all runs, in milliseconds; the first run is not counted.
    pub(crate) fn time<R>(&self, prepare: impl Fn(), f: impl Fn() -> R) -> (f64, f64) {
        f();
        let mut all: Vec<f64> = (0..self.runs)
            .map(|_| {
                prepare();
                let (start, busy) = (Instant::now(), if self.cpu { cpu_ms() } else { 0.0 });
                f();
                if self.cpu { cpu_ms() - busy } else { start.elapsed().as_secs_f64() * 1e3 }
            })
            .collect();
        all.sort_by(f64::total_cmp);
        (all[self.runs / 2], all[0])
    }
}

/// Processor time of this process in milliseconds.
fn cpu_ms() -> f64 {
    let mut ns = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        ns += stat.split(' ').next().unwrap().parse::<f64>().unwrap();
    }
    ns * 1e-6
}
