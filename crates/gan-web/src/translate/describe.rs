//! What a page has to know of a model, read off the model and the run that it is from.

use crate::translate::facts::{Draw, ModelFacts, ModelInput};
use crate::translate::label_names::{Names, facades, palette};
use gan_data::Direction;
use gan_translate::{Generator, InputKind, OutputKind, TrainedModel};
use std::path::{Path, PathBuf};

impl ModelFacts {
    /// A generator of the model that was opened at `path`, as one that has no other checkpoints, no styles and no dropout, and was not timed.
    #[must_use]
    pub fn of(trained: &TrainedModel, path: &Path, generator: &Generator) -> Self {
        let config = trained.config();
        let is_first = generator.network == config.generators[0].network;
        let channels = config.input_nc(generator);
        let input = match config.input {
            InputKind::Labels { label_nc, dont_care } if is_first => ModelInput::Labels { count: label_nc, dont_care },
            InputKind::Lightness if is_first => ModelInput::Lightness,
            _ => ModelInput::Image { channels },
        };
        let colour = is_first && config.output == OutputKind::Colour;
        let name = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        ModelFacts {
            id: id_of(path),
            name: name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned(),
            method: config.method.clone(),
            draw: drawable(&input, is_first, run_of(path).as_deref()),
            input,
            instances: config.instances,
            output_channels: if colour { 3 } else { generator.config.output_nc },
            directions: vec![word(generator.direction)],
            steps: Vec::new(),
            step: trained.step(),
            best: None,
            styles: false,
            dropout: false,
            side: config.sizes.crop_size,
            seconds: 0.0,
            max_pixels: u64::MAX,
        }
    }
}

/// A direction as requests write it.
pub(super) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::A2b => "a2b",
        Direction::B2a => "b2a",
    }
}

/// The name of a model in requests: that of its folder or file, of letters and digits that need no escape.
fn id_of(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = whole.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let id: String = name.chars().map(plain).take(60).collect();
    if id.is_empty() { "model".to_owned() } else { id }
}

/// The run that a model is, or is a checkpoint of.
fn run_of(path: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(path).ok()?;
    let runs = whole.ancestors().take(3).filter(|folder| folder.join("run.json").is_file());
    runs.map(Path::to_owned).next()
}

/// What people can draw as an input. What the model was trained on tells, where its run is there; `is_first`: in the direction of training.
fn drawable(input: &ModelInput, is_first: bool, run: Option<&Path>) -> Draw {
    let config =
        run.and_then(|run| gan_train::run::read_config(&gan_train::storage::Disk, run).ok()).unwrap_or_default();
    let has = |line: &str| config.lines().any(|other| other.trim() == line);
    match *input {
        ModelInput::Labels { count, dont_care } => {
            let names = if has("mode = \"streets\"") { Names::Streets } else { Names::Unknown };
            Draw::Labels { palette: palette(count, dont_care, names) }
        }
        ModelInput::Image { channels: 3 } if is_first && has("mode = \"facades\"") && !has("direction = \"b2a\"") => {
            Draw::Colours { palette: facades() }
        }
        ModelInput::Image { channels: channels @ (1 | 3) } => {
            let info = run.and_then(|run| gan_train::run::read_info(&gan_train::storage::Disk, run).ok());
            let trained_on_edges = info.is_some_and(|info| info.argv.iter().any(|word| word.contains("edges")));
            Draw::Pen { likely: is_first && (channels == 1 || trained_on_edges) }
        }
        ModelInput::Image { .. } | ModelInput::Lightness => Draw::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_need_no_escape() {
        for (path, id) in [("runs/photos", "photos"), ("a/latest_net_G.pth", "latest_net_G"), ("my run é", "my-run--")]
        {
            assert_eq!(id_of(Path::new(path)), id);
        }
        assert_eq!(id_of(Path::new("/")), "model");
    }
}
