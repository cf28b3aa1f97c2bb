//! Folders as pytorch-CycleGAN-and-pix2pix and pix2pixHD leave them: `latest_net_G.pth`, `latest_net_G_A.pth`, and the options of
//! the training beside them.

use crate::model_config::{EncoderModel, InputKind, ModelConfig, Styles};
use crate::weight_file::{WeightFile, WeightOptions};
use crate::{Error, Result};
use gan_data::{Direction, Preprocess};
use gan_nets::{Arch, Network};
use gan_weights::StateDict;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest file of options that is read.
const MAX_OPTIONS: u64 = 1 << 20;

/// Files in which the references write down the options of a run, those of the training first.
const OPTION_FILES: [&str; 3] = ["train_opt.txt", "opt.txt", "test_opt.txt"];

/// What such a folder holds.
pub(crate) struct ReferenceFolder {
    pub(crate) config: ModelConfig,
    /// The networks that translate.
    pub(crate) networks: Vec<(String, StateDict)>,
    pub(crate) notes: Vec<String>,
}

impl ReferenceFolder {
    /// Reads the generators of the last state that a folder holds. `None` if there is none.
    ///
    /// # Errors
    /// As [`WeightFile::open`] and [`WeightFile::describe`].
    pub(crate) fn open(folder: &Path) -> Result<Option<Self>> {
        let files = Files::of(folder);
        let Some(label) = files.last() else { return Ok(None) };
        let options = RunOptions::read(folder);
        let (direction, file) = match ["G", "G_A", "G_B"].map(|network| files.path(&label, network)) {
            [Some(file), ..] => (options.direction(), ("g", file)),
            [None, Some(file), _] => (Direction::A2b, ("g_a", file)),
            [None, None, Some(file)] => (Direction::B2a, ("g_b", file)),
            _ => return Ok(None),
        };
        let mut model = Self::of_generator(file, direction, &options)?;
        if let ("g_a", Some(file)) = (file.0, files.path(&label, "G_B")) {
            let back = Self::of_generator(("g_b", file), Direction::B2a, &options)?;
            model.config.generators.extend(back.config.generators);
            model.networks.extend(back.networks);
            model.notes.extend(back.notes);
        }
        let encoder = files.path(&label, "E").filter(|_| options.is("instance_feat"));
        let features = encoder.map_or(Ok(0), |file| model.add_encoder(file, &options))?;
        if let Some(label_nc) = options.number("label_nc").filter(|label_nc| *label_nc > 0) {
            model.set_labels(file.1, label_nc, features, &options)?;
        }
        // Whatever the options say, what is opened can be true.
        let described = options.path.as_deref().unwrap_or(file.1).to_owned();
        model.config.validate().map_err(|reason| Error::Description { path: described, reason })?;
        model.notes.extend(options.refused);
        match options.path {
            Some(path) => model.notes.push(format!("options read from {}", path.display())),
            None => {
                model.notes.push(format!("{} has no train_opt.txt or opt.txt: the defaults hold", folder.display()))
            }
        }
        Ok(Some(model))
    }

    fn of_generator((name, file): (&str, &Path), direction: Direction, options: &RunOptions) -> Result<Self> {
        let hd = options.values.contains_key("label_nc");
        let weight_options = WeightOptions {
            arch: options.arch(),
            label_nc: options.number("label_nc").filter(|label_nc| *label_nc == 0),
            instances: hd.then(|| !options.is("no_instance")),
            dropout: options.values.get("no_dropout").is_some_and(|off| off == "False"),
            ..WeightOptions::default()
        };
        let file = WeightFile::open(file, &weight_options)?;
        let mut config = file.describe(&weight_options)?;
        config.generators[0].network = name.into();
        config.generators[0].direction = direction;
        config.method = options.method().into();
        options.sizes(&mut config);
        Ok(Self { config, networks: vec![(name.into(), file.state)], notes: file.notes })
    }

    /// Adds pix2pixHD's encoder of instance features. Returns its channels, which are part of the generator's input.
    fn add_encoder(&mut self, file: &Path, options: &RunOptions) -> Result<usize> {
        let encoder = WeightFile::open(file, &WeightOptions::default())?;
        let Network::Encoder(config) = encoder.network else { return Err(Error::NoEncoder) };
        let features = config.feat_num;
        let styles = options.number("n_clusters").map_or_else(Styles::default, |n_clusters| Styles { n_clusters });
        self.config.encoder = Some(EncoderModel { network: "e".into(), config, styles });
        self.networks.push(("e".into(), encoder.state));
        self.notes.extend(encoder.notes);
        Ok(features)
    }

    /// Says how many labels pix2pixHD was trained with; they have to make up the generator's input.
    fn set_labels(&mut self, file: &Path, label_nc: usize, features: usize, options: &RunOptions) -> Result<()> {
        let (input_nc, instances) = (self.config.generators[0].config.input_nc, self.config.instances);
        let dont_care = options.is("contain_dontcare_label").then_some(255);
        let others = usize::from(dont_care.is_some()) + usize::from(instances) + features;
        if label_nc.checked_add(others) != Some(input_nc) {
            return Err(Error::Labels { path: file.to_owned(), input_nc, label_nc, instances });
        }
        self.config.input = InputKind::Labels { label_nc, dont_care };
        Ok(())
    }
}

/// The file of a network in a folder of the references, of the last state that the folder holds. The network is called as in a
/// run here: `g`, `g_a`, `d_b`, `f`.
#[must_use]
pub fn reference_file(folder: &Path, network: &str) -> Option<PathBuf> {
    let files = Files::of(folder);
    files.path(&files.last()?, &network.to_uppercase()).map(Path::to_owned)
}

/// The weight files of a folder, by label (`latest`, `200`, `iter_5000`) and network (`G_A`).
struct Files(Vec<(String, String, PathBuf)>);

impl Files {
    fn of(folder: &Path) -> Self {
        let mut files = Vec::new();
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pth"));
            if let Some((label, network)) = name.and_then(|name| name.split_once("_net_"))
                && !label.starts_with('.')
            {
                files.push((label.to_owned(), network.to_owned(), path));
            }
        }
        Files(files)
    }

    /// The label of the last state: `latest`, or else the highest number, of an epoch or an iteration.
    fn last(&self) -> Option<String> {
        let rank = |label: &str| match label.strip_prefix("iter_").unwrap_or(label).parse::<u64>() {
            _ if label == "latest" => Some((2, 0)),
            Ok(number) => Some((u8::from(!label.starts_with("iter_")), number)),
            Err(_) => None,
        };
        let generators = self.0.iter().filter(|(_, network, _)| ["G", "G_A", "G_B"].contains(&network.as_str()));
        let last = generators.filter_map(|(label, ..)| Some((rank(label)?, label))).max();
        last.map(|(_, label)| label.clone())
    }

    fn path(&self, label: &str, network: &str) -> Option<&Path> {
        self.0.iter().find(|(l, n, _)| l == label && n == network).map(|(.., path)| path.as_path())
    }
}

/// The options of a run, as the references print them: `key: value`, and `[default: …]` where it is another.
#[derive(Default)]
struct RunOptions {
    path: Option<PathBuf>,
    values: HashMap<String, String>,
    /// What is said of files of options that cannot be read.
    refused: Vec<String>,
}

impl RunOptions {
    /// Nothing if there is no file of options that can be read. Of text that is no UTF-8, as where a path was printed, the rest counts.
    fn read(folder: &Path) -> Self {
        let mut refused = Vec::new();
        for path in OPTION_FILES.map(|name| folder.join(name)) {
            match gan_fs::read_regular(&path, MAX_OPTIONS) {
                Ok(text) => {
                    return RunOptions {
                        values: Self::parse(&String::from_utf8_lossy(&text)),
                        path: Some(path),
                        refused,
                    };
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => refused.push(format!("{} is passed over: {error}", path.display())),
            }
        }
        RunOptions { refused, ..RunOptions::default() }
    }

    fn parse(text: &str) -> HashMap<String, String> {
        let option = |line: &str| {
            let (key, value) = line.split_once(':')?;
            let value = value.split("[default:").next().unwrap_or_default();
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        text.lines().filter_map(option).collect()
    }

    fn is(&self, flag: &str) -> bool {
        self.values.get(flag).is_some_and(|value| value == "True")
    }

    /// The number of an option, under the first of its names that is there.
    fn number(&self, names: &str) -> Option<usize> {
        names.split('|').find_map(|name| self.values.get(name)?.parse().ok())
    }

    fn direction(&self) -> Direction {
        match self.values.get("direction").or_else(|| self.values.get("which_direction")).map(String::as_str) {
            Some("BtoA") => Direction::B2a,
            _ => Direction::A2b,
        }
    }

    /// The architecture, where the tensors leave a choice: the others are read off them.
    fn arch(&self) -> Option<Arch> {
        match self.values.get("netG").map(String::as_str) {
            Some("global") => Some(Arch::Global),
            Some("local") => Some(Arch::Local),
            _ => None,
        }
    }

    fn method(&self) -> &'static str {
        match self.values.get("model").map(String::as_str) {
            Some("pix2pix") => "pix2pix",
            Some("cycle_gan") => "cyclegan",
            Some("pix2pixHD") => "pix2pixhd",
            _ => "",
        }
    }

    /// Writes the sizes of training into a description.
    fn sizes(&self, config: &mut ModelConfig) {
        let sizes = &mut config.sizes;
        let preprocess = self.values.get("preprocess").or_else(|| self.values.get("resize_or_crop"));
        sizes.preprocess = match preprocess.map(String::as_str) {
            Some("resize_and_crop") => Preprocess::ResizeAndCrop,
            Some("resize") => Preprocess::Resize,
            Some("crop") => Preprocess::Crop,
            Some("scale_width") => Preprocess::ScaleWidth,
            Some("scale_width_and_crop") => Preprocess::ScaleWidthAndCrop,
            Some("none") => Preprocess::None,
            _ => sizes.preprocess,
        };
        let (load, crop) = (self.number("load_size|loadSize"), self.number("crop_size|fineSize"));
        // Both from the file, or neither: one of the file and one default may contradict each other.
        if let (Some(load), Some(crop)) = (load, crop) {
            (sizes.load_size, sizes.crop_size) = (load, crop);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    const OPTIONS: &str = "----------------- Options ---------------
               batch_size: 1
                crop_size: 128                          \t[default: 256]
                direction: BtoA                         \t[default: AtoB]
                load_size: 143                          \t[default: 286]
                    model: pix2pix                      \t[default: cycle_gan]
               no_dropout: False
               preprocess: scale_width
                 dataroot: ./datasets/a: b
----------------- End -------------------
";

    #[test]
    fn options_are_read_as_the_references_print_them() {
        let options = RunOptions { values: RunOptions::parse(OPTIONS), ..RunOptions::default() };
        assert_eq!((options.direction(), options.method(), options.arch()), (Direction::B2a, "pix2pix", None));
        assert_eq!(options.number("load_size|loadSize"), Some(143));
        assert_eq!(options.values["crop_size"], "128");
        assert_eq!(options.values["dataroot"], "./datasets/a: b");
        assert!(!options.is("no_dropout"));
        let hd = "label_nc: 35\nloadSize: 1024\nnetG: local\nno_instance: True";
        let hd = RunOptions { values: RunOptions::parse(hd), ..RunOptions::default() };
        assert_eq!(
            (hd.number("label_nc"), hd.number("load_size|loadSize"), hd.arch()),
            (Some(35), Some(1024), Some(Arch::Local))
        );
        assert!(hd.is("no_instance"));
    }

    #[test]
    fn the_last_state_is_found() {
        let last = |names: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            names.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
            Files::of(folder.path()).last()
        };
        assert_eq!(last(&["9_net_G.pth", "10_net_G.pth", "iter_500_net_G.pth", "11_net_D.pth"]).as_deref(), Some("10"));
        assert_eq!(last(&["9_net_G_A.pth", "latest_net_G_A.pth"]).as_deref(), Some("latest"));
        assert_eq!(last(&["iter_90_net_G.pth", "iter_100_net_G.pth"]).as_deref(), Some("iter_100"));
        assert_eq!(last(&["latest_net_D.pth", "g.pth", "best_net_G.pth"]), None);
    }
}
