//! What is shown of a run that trains, in lines of any width.

use super::human;

/// Share of the time spent waiting for data from which on it is worth a word.
const NOTABLE_WAIT: f64 = 0.05;

/// Between two facts.
const GAP: &str = "  ";

/// Columns of the bar: the least, and the most.
const BAR: (usize, usize) = (8, 30);

/// A run under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct View {
    pub(super) step: u64,
    pub(super) total: u64,
    /// The epoch under way, and how many there are.
    pub(super) epoch: u64,
    pub(super) epochs: u64,
    pub(super) images_per_s: Option<f64>,
    /// Seconds to the end.
    pub(super) left: Option<f64>,
    /// Share of the time spent waiting for data.
    pub(super) wait: f64,
    /// Those of the last log point.
    pub(super) losses: Vec<(String, f64)>,
    /// What the run is busy with instead of steps, or how it ended.
    pub(super) state: Option<String>,
}

impl View {
    /// One line without end, for logs.
    pub(super) fn line(&self) -> String {
        let facts = [Some(self.steps()), self.epochs(), self.pace(), self.remaining(), self.waiting()];
        let facts: Vec<_> = facts.into_iter().flatten().chain(self.losses.iter().map(loss)).collect();
        facts.join(GAP)
    }

    /// Facts beside the number of steps.
    pub(super) fn facts(&self) -> String {
        let facts = [self.epochs(), self.pace(), self.remaining(), self.waiting()];
        facts.into_iter().flatten().collect::<Vec<_>>().join(GAP)
    }

    /// One or two lines of at most `width` columns: how far and how fast, then the losses as space allows.
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        let (mut first, mut second) = (vec![self.steps()], Vec::new());
        first.extend([self.epochs(), self.pace(), self.remaining(), self.waiting()].into_iter().flatten());
        // What matters least goes first: to the second line, where losses give way.
        for least in [self.waiting(), self.epochs()].into_iter().flatten() {
            if columns(&first) > width {
                first.retain(|fact| *fact != least);
                second.insert(0, least);
            }
        }
        if columns(&first) > width {
            first[0] = format!("{}/{}", self.step, self.total);
        }
        for least in [self.pace(), self.remaining()].into_iter().flatten() {
            if columns(&first) > width {
                first.retain(|fact| *fact != least);
                second.insert(0, least);
            }
        }
        let space = width.saturating_sub(columns(&first) + GAP.len());
        if space >= BAR.0 && self.total > 0 {
            first.push(bar(self.step, self.total, space.min(BAR.1)));
        }
        // Room for a loss matters more than these.
        for least in [self.epochs(), self.waiting()].into_iter().flatten() {
            let needed = self.losses.first().map_or(0, |first| length(&loss(first)) + 2 * GAP.len() + 1);
            if columns(&second) + needed > width {
                second.retain(|fact| *fact != least);
            }
        }
        // A loss is shown whole or not at all.
        for (i, next) in self.losses.iter().map(loss).enumerate() {
            let gap = if second.is_empty() { 0 } else { GAP.len() };
            let ellipsis = if i + 1 < self.losses.len() { GAP.len() + 1 } else { 0 };
            if columns(&second) + gap + length(&next) + ellipsis > width {
                second.push("…".to_owned());
                break;
            }
            second.push(next);
        }
        let lines = [first, second].into_iter().filter(|facts| !facts.is_empty());
        lines.map(|facts| facts.join(GAP).chars().take(width).collect()).collect()
    }

    fn steps(&self) -> String {
        format!("step {}/{}", self.step, self.total)
    }

    fn epochs(&self) -> Option<String> {
        (self.epoch > 0).then(|| format!("epoch {}/{}", self.epoch, self.epochs.max(self.epoch)))
    }

    fn pace(&self) -> Option<String> {
        self.images_per_s.map(pace)
    }

    fn remaining(&self) -> Option<String> {
        self.state.clone().or_else(|| self.left.map(|seconds| format!("{} left", human(seconds))))
    }

    fn waiting(&self) -> Option<String> {
        (self.wait > NOTABLE_WAIT && self.state.is_none()).then(|| format!("data wait {:.0} %", self.wait * 100.0))
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Columns of the facts on one line.
fn columns(facts: &[String]) -> usize {
    facts.iter().map(|fact| length(fact)).sum::<usize>() + GAP.len() * facts.len().saturating_sub(1)
}

fn bar(step: u64, total: u64, columns: usize) -> String {
    let done = (step.min(total) as f64 / total as f64 * columns as f64) as usize;
    "█".repeat(done) + &"░".repeat(columns - done)
}

/// Speed, in the unit that keeps its digits.
fn pace(images_per_s: f64) -> String {
    match images_per_s {
        r if r >= 1000.0 => format!("{r:.0} img/s"),
        r if r >= 1.0 => format!("{r:.1} img/s"),
        r if r > 0.0 => format!("{:.1} s/img", 1.0 / r),
        _ => "speed not known yet".into(),
    }
}

fn loss((name, value): &(String, f64)) -> String {
    format!("{name} {}", significant(*value))
}

/// A number in four digits.
pub(crate) fn significant(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => value.to_string(),
        0.0 => "0".into(),
        s if !(1e-3..1e6).contains(&s) => format!("{value:.2e}"),
        s => format!("{value:.*}", (3 - s.log10().floor() as i32).clamp(0, 4) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let losses = [("G_GAN", 0.91234), ("G_L1", 23.4), ("D_real", 0.5), ("D_fake", 4_672_681_984.0)];
        View {
            step: 20,
            total: 2600,
            epoch: 1,
            epochs: 200,
            images_per_s: Some(15.04),
            left: Some(11_000.0),
            wait: 0.0,
            losses: losses.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            state: None,
        }
    }

    #[test]
    fn every_width_is_kept_and_filled() {
        let at = |width| view().lines(width);
        assert_eq!(
            at(79),
            [
                "step 20/2600  epoch 1/200  15.0 img/s  3 h 03 min left  ░░░░░░░░░░░░░░░░░░░░░░░",
                "G_GAN 0.9123  G_L1 23.40  D_real 0.5000  D_fake 4.67e9",
            ]
        );
        assert_eq!(at(119)[0].chars().count(), 86, "the bar is no longer than it has to be");
        assert_eq!(at(49), ["step 20/2600  15.0 img/s  3 h 03 min left", "epoch 1/200  G_GAN 0.9123  G_L1 23.40  …"],);
        assert_eq!(at(39), ["20/2600  15.0 img/s  3 h 03 min left", "epoch 1/200  G_GAN 0.9123  …"]);
        for width in 1..200 {
            let lines = at(width);
            assert!(lines.len() <= 2 && lines.iter().all(|line| length(line) <= width), "{width}: {lines:?}");
        }
        let long = View { step: 1_234_567, total: 123_456_789, wait: 0.3, ..view() };
        for width in [39, 49, 79, 119] {
            let lines = long.lines(width);
            assert!(lines.iter().all(|line| length(line) <= width), "{lines:?}");
            let all = lines.join(" ");
            for word in ["1234567/123456789", "15.0 img/s", "3 h 03 min left"] {
                assert!(all.contains(word), "{width}: {lines:?}");
            }
        }
    }

    #[test]
    fn a_run_before_its_first_step_is_one_line() {
        let view = View { total: 8, epoch: 1, epochs: 2, ..View::default() };
        assert_eq!(view.lines(30), ["step 0/8  epoch 1/2  ░░░░░░░░░"]);
        assert_eq!(view.line(), "step 0/8  epoch 1/2");
    }

    #[test]
    fn a_state_stands_where_the_time_left_does() {
        let busy = View { state: Some("validating".into()), wait: 0.5, ..view() };
        assert!(busy.lines(80)[0].starts_with("step 20/2600  epoch 1/200  15.0 img/s  validating  "));
    }

    #[test]
    fn a_wait_for_data_is_told_from_five_percent_on() {
        assert!(!View { wait: 0.05, ..view() }.line().contains("data wait"));
        assert!(View { wait: 0.061, ..view() }.line().contains("3 h 03 min left  data wait 6 %  G_GAN"));
    }

    #[test]
    fn speeds_and_losses_keep_their_digits() {
        assert_eq!(
            [15.04, 0.0109, 1234.5, 0.0].map(pace),
            ["15.0 img/s", "91.7 s/img", "1234 img/s", "speed not known yet"]
        );
        let said = [0.91234, 23.4, -123.45, 4672.0, 98765.4, 4_672_681_984.0, 0.0, 0.0123, 0.000_12, f64::NAN];
        let expected = ["0.9123", "23.40", "-123.5", "4672", "98765", "4.67e9", "0", "0.0123", "1.20e-4", "NaN"];
        assert_eq!(said.map(significant), expected);
    }
}
