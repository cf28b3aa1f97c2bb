//! What a run says of itself before the first step.

use gan_data::{DataConfig, DataMode, Direction};
use gan_nets::Network;
use gan_train::MethodConfig;
use std::path::{Path, PathBuf};

/// Facts about a run that its events do not carry.
pub(crate) struct Start {
    /// Images (or pairs) of an epoch.
    images: usize,
    /// Images of a batch.
    batch_size: usize,
    /// Batches of a step.
    accumulate: usize,
    /// Parameters of the generator, where they can be counted.
    parameters: Option<usize>,
    preset: Option<String>,
    /// What is the input and what the target.
    pub(crate) sides: Option<[String; 2]>,
    /// The folders that the dataset reads.
    pub(crate) folders: Vec<PathBuf>,
    /// The run folder.
    pub(crate) run: PathBuf,
}

impl Start {
    /// Looks at the dataset of a resolved configuration.
    ///
    /// # Errors
    /// What is wrong with the dataset.
    pub(crate) fn of(config: &dyn MethodConfig, preset: Option<&str>, run: &Path) -> anyhow::Result<Self> {
        let data = config.data();
        let description = gan_data::open(&data)?.describe();
        Ok(Start {
            images: description.items,
            batch_size: data.batch_size,
            accumulate: config.train().accumulate as usize,
            parameters: parameters(config),
            preset: preset.map(String::from),
            sides: sides(&data, &description.folders),
            folders: description.folders,
            run: run.to_owned(),
        })
    }

    /// The same on so many ranks, which share the batches of a step.
    pub(crate) fn on_ranks(mut self, ranks: usize) -> Self {
        self.accumulate = self.accumulate.saturating_mul(ranks);
        self
    }

    /// Images of a full step.
    pub(crate) fn images_per_step(&self) -> usize {
        self.batch_size.saturating_mul(self.accumulate).min(self.images.next_multiple_of(self.batch_size.max(1)))
    }

    /// Steps of an epoch.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.images.div_ceil(self.batch_size.max(1)).div_ceil(self.accumulate).max(1) as u64
    }

    /// Epochs that so many steps are, the last one perhaps in part.
    pub(crate) fn epochs(&self, steps: u64) -> u64 {
        steps.div_ceil(self.steps_per_epoch())
    }

    /// The lines to show when training begins after `step` of `total` steps.
    pub(crate) fn lines(&self, method: &str, device: &str, step: u64, total: u64) -> Vec<String> {
        let count = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let from = if step > 0 { format!(" from step {step}") } else { String::new() };
        let mut facts = format!(
            "{}, {}, batch size {}",
            count(self.images as u64, "image"),
            count(self.epochs(total), "epoch"),
            self.batch_size
        );
        if self.accumulate > 1 {
            facts += &format!(", {} batches a step", self.accumulate);
        }
        let mut line = format!("training {method} on {device}{from}: {} ({facts})", count(total, "step"));
        if let Some(parameters) = self.parameters {
            let rounded = match parameters as f64 {
                n if n < 1e6 => format!("{:.0} k", n / 1e3),
                n => format!("{:.1} M", n / 1e6),
            };
            line += &format!("; generator: {rounded} parameters");
        }
        if let Some(preset) = &self.preset {
            line += &format!("; preset {preset}");
        }
        let sides = self.sides.iter().map(|[input, target]| format!("input: {input}, target: {target}"));
        sides.chain([line, format!("gallery: {}", self.run.join("gallery/index.html").display())]).collect()
    }
}

/// Parameters of the (first) generator.
fn parameters(config: &dyn MethodConfig) -> Option<usize> {
    let generator = config.model().generators.into_iter().next()?.config;
    let side = generator.size_multiple().max(64);
    Network::Generator(generator).summary((side, side)).ok().map(|summary| summary.params())
}

/// Input and target of a dataset that reads these folders, in words.
fn sides(data: &DataConfig, folders: &[PathBuf]) -> Option<[String; 2]> {
    let swap = data.direction == Direction::B2a;
    let named = |a: String, b: String| {
        let (a, b) = (format!("{a} (A)"), format!("{b} (B)"));
        Some(if swap { [b, a] } else { [a, b] })
    };
    let shown = |folder: &PathBuf| folder.display().to_string();
    match (data.mode, folders) {
        (DataMode::Aligned, [_]) => named("left half".into(), "right half".into()),
        (DataMode::Aligned, [a, b]) => named(shown(a), shown(b)),
        // The dataset lists the input first.
        (DataMode::Unaligned, [input, target]) if swap => named(shown(target), shown(input)),
        (DataMode::Unaligned, [input, target]) => named(shown(input), shown(target)),
        (DataMode::Labelled, [input, target, more @ ..]) => {
            let kind = if data.label_nc == 0 { "images" } else { "label maps" };
            let instances = more.first().map(|folder| format!(" with instance maps {}", folder.display()));
            let input = format!("{kind} {}{}", input.display(), instances.unwrap_or_default());
            Some([input, format!("images {}", target.display())])
        }
        (DataMode::Colorization, _) => Some(["lightness of the images".into(), "their colours".into()]),
        (DataMode::Facades, _) => named("drawn label maps".into(), "drawn facades".into()),
        (DataMode::Unpaired, _) => named("drawn facades by day".into(), "drawn facades by night".into()),
        (DataMode::Streets, _) => Some(["drawn label maps with instance maps".into(), "drawn streets".into()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(mode: DataMode, direction: Direction, folders: &[&str]) -> String {
        let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        let data = DataConfig { mode, direction, ..DataConfig::default() };
        let [input, target] = sides(&data, &folders).unwrap();
        format!("{input} -> {target}")
    }

    #[test]
    fn sides_follow_direction_and_layout() {
        use DataMode::*;
        use Direction::{A2b, B2a};
        assert_eq!(said(Aligned, A2b, &["p/train"]), "left half (A) -> right half (B)");
        assert_eq!(said(Aligned, B2a, &["p/train"]), "right half (B) -> left half (A)");
        assert_eq!(said(Aligned, B2a, &["p/A", "p/B"]), "p/B (B) -> p/A (A)");
        assert_eq!(said(Unaligned, A2b, &["p/trainA", "p/trainB"]), "p/trainA (A) -> p/trainB (B)");
        assert_eq!(said(Unaligned, B2a, &["p/trainB", "p/trainA"]), "p/trainB (B) -> p/trainA (A)");
        let labelled = said(Labelled, A2b, &["train_label", "train_img", "train_inst"]);
        assert_eq!(labelled, "label maps train_label with instance maps train_inst -> images train_img");
        for mode in [Colorization, Facades, Unpaired, Streets] {
            assert!(said(mode, A2b, &[]).contains(" -> "));
        }
        assert_ne!(said(Facades, A2b, &[]), said(Facades, B2a, &[]));
        assert_eq!(sides(&DataConfig { mode: Single, ..DataConfig::default() }, &[]), None);
    }
}
