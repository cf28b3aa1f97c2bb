//! What pix2pixHD's configuration tells: its networks, what contradicts itself, the model.

use super::step::vgg19_file;
use super::{Config, Perceptual, Pix2PixHd};
use crate::consistency::{BadKey, Contradiction, DiscriminatorOf, Network};
use crate::method::Method;
use crate::method_config::{MethodConfig, data_of, image_model, one_generator};
use crate::methods::contradictions::mode_name;
use crate::{DeviceConfig, Reading, Result, TrainConfig, ValidationConfig};
use gan_data::{DataConfig, DataMode};
use gan_layers::Builder;
use gan_losses::Vgg19;
use gan_nets::{Arch, Demand, EncoderConfig, GeneratorConfig, NetD};
use gan_translate::{EncoderModel, InputKind, ModelConfig, Styles};

impl MethodConfig for Config {
    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn validation(&self) -> ValidationConfig {
        self.validation.clone()
    }

    fn data(&self) -> DataConfig {
        data_of(&self.data, &GeneratorConfig { input_nc: self.generator.input_nc, ..self.generator() })
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        let input_nc = self.condition_nc() + self.generator.output_nc;
        let discriminator = DiscriminatorOf { config: self.discriminator.clone(), input_nc };
        let mut networks: Vec<Box<dyn Network>> = vec![Box::new(self.generator()), Box::new(discriminator)];
        if self.encoder.instance_feat {
            networks.push(Box::new(FeatureNetwork(self.encoder())));
        }
        if self.loss.perceptual == Perceptual::Vgg19 {
            networks.push(Box::new(PerceptualNetwork));
        }
        networks
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let Config { data, generator, encoder, enhancer, .. } = self;
        let mut found: Vec<_> = self.augment.contradiction().into_iter().collect();
        let mut say = |what: String, remedies: &[&[&str]]| found.push(Contradiction::new(what, remedies));
        let mode = mode_name(data.mode);
        match data.mode {
            DataMode::Single => {
                say(format!("data.mode = \"{mode}\" has no targets to train on"), &[&["data.mode = \"labelled\""]])
            }
            DataMode::Streets if !data.instances => {
                say("streets come with instance maps".into(), &[&["data.instances = true"]]);
            }
            DataMode::Labelled | DataMode::Streets => {}
            _ if data.label_nc > 0 || data.instances => say(
                format!("data.mode = \"{mode}\" has neither labels nor instance maps"),
                &[&["data.mode = \"labelled\""], &["data.label_nc = 0", "data.instances = false"]],
            ),
            _ => {}
        }
        if encoder.instance_feat && !data.instances {
            say(
                "instance features (encoder.instance_feat) need instance maps".into(),
                &[&["data.instances = true"], &["encoder.instance_feat = false"]],
            );
        }
        if self.loss.perceptual == Perceptual::Vgg19 && generator.output_nc != 3 {
            let what = format!("VGG19 looks at images of 3 channels; generator.output_nc is {}", generator.output_nc);
            say(what, &[&["loss.perceptual = \"none\""]]);
        }
        if self.loss.feature_matching && self.discriminator.arch == NetD::Pixel {
            let what = "feature matching needs layers to match, and discriminator.arch = \"pixel\" has one stage";
            say(what.into(), &[&["loss.feature_matching = false"], &["discriminator.arch = \"multiscale\""]]);
        }
        if enhancer.n_epochs_fix_global > 0 && generator.arch != Arch::Local {
            let arch = generator.arch.name();
            let what = format!(
                "enhancer.n_epochs_fix_global trains an enhancer alone, and generator.arch = \"{arch}\" has none"
            );
            say(what, &[&["enhancer.n_epochs_fix_global = 0"], &["generator.arch = \"local\""]]);
        }
        found
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings = vec![
            Reading::new("label maps, photographs and instance maps", &[]),
            Reading::new("label maps and photographs", &["data.instances=false"]),
            Reading {
                note: Some("images take the place of label maps".into()),
                ..Reading::new(
                    DataMode::Aligned.about(),
                    &["data.mode=aligned", "data.label_nc=0", "data.instances=false"],
                )
            },
        ];
        let weights = vgg19_file(self);
        if self.loss.perceptual == Perceptual::Vgg19 && !weights.is_file() {
            let without = format!("without the perceptual loss, as VGG19's weights are not in {}", weights.display());
            for reading in &mut readings {
                reading.settings.push("loss.perceptual=none".into());
                reading.note = Some(reading.note.take().map_or(without.clone(), |note| format!("{note}; {without}")));
            }
        }
        readings
    }

    fn changeable_keys(&self) -> &'static [&'static str] {
        &["loss.vgg19"]
    }

    fn model(&self) -> ModelConfig {
        let data = self.data();
        let mut model = image_model("pix2pixhd", one_generator(self.generator(), &data), &data);
        if data.label_nc > 0 {
            model.input = InputKind::Labels { label_nc: data.label_nc, dont_care: data.dont_care };
        }
        model.instances = data.instances;
        model.encoder = self.encoder.instance_feat.then(|| EncoderModel {
            network: "e".into(),
            config: self.encoder(),
            styles: Styles { n_clusters: self.encoder.n_clusters },
        });
        model
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(Pix2PixHd::new(self, device_config)?))
    }
}

/// The encoder of instance features.
#[derive(Debug)]
struct FeatureNetwork(EncoderConfig);

impl Network for FeatureNetwork {
    fn name(&self) -> String {
        format!("the encoder with encoder.n_downsample_e = {}", self.0.n_downsample)
    }

    fn refusal(&self) -> Option<BadKey> {
        BadKey::of("encoder", self.0.validate())
    }

    fn demand(&self) -> Result<Demand> {
        Ok(self.0.demand()?)
    }

    fn smaller(&self) -> Vec<(Vec<String>, Box<dyn Network>)> {
        let with = |n: usize| -> (Vec<String>, Box<dyn Network>) {
            let config = EncoderConfig { n_downsample: n, ..self.0.clone() };
            (vec![format!("encoder.n_downsample_e = {n}")], Box::new(FeatureNetwork(config)))
        };
        (0..self.0.n_downsample).rev().map(with).collect()
    }
}

/// VGG19 of the perceptual loss.
#[derive(Debug)]
struct PerceptualNetwork;

impl Network for PerceptualNetwork {
    fn name(&self) -> String {
        "VGG19 of the perceptual loss".to_owned()
    }

    fn refusal(&self) -> Option<BadKey> {
        None
    }

    fn demand(&self) -> Result<Demand> {
        Ok(Demand::of_layers(Vgg19::build(Builder::shapes_only())?.slices().to_vec(), 3))
    }
}
