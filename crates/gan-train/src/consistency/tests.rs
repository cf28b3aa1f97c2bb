//! Every contradiction is found, and every remedy works.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{self, ConfigSource, Ranged, key_ranges, list};
use crate::method_config::{MethodConfig, validate};
use crate::methods::{cut, cyclegan, pix2pix, pix2pixhd};
use crate::{METHODS, MethodSpec};
use serde::{Serialize, de::DeserializeOwned};
use toml::Value;

fn find(method: &str) -> &'static MethodSpec {
    crate::find(METHODS, method).unwrap()
}

fn set(setting: &str) -> ConfigSource {
    ConfigSource::Setting(setting.to_owned())
}

fn resolve(method: &str, settings: &[&str]) -> Result<Box<dyn MethodConfig>> {
    (find(method).resolve)(&settings.iter().map(|s| set(s)).collect::<Vec<_>>())
}

#[track_caller]
fn refusal(method: &str, settings: &[&str]) -> String {
    match resolve(method, settings) {
        Err(error @ Error::Config { .. }) => error.to_string(),
        other => panic!("{settings:?}: {other:?}"),
    }
}

/// The contradictions of a configuration that is not refused for its numbers.
fn found<T>(layers: &[ConfigSource]) -> Vec<Contradiction>
where
    T: MethodConfig + Ranged + Default + Serialize + DeserializeOwned,
{
    let config: T = config::resolve(&T::default(), layers).unwrap();
    let data = config.data();
    let demands = Demands::of(config.networks(), data.batch_size).unwrap();
    contradictions(config.train(), &data, config.contradictions(), &demands)
}

fn found_in(method: &str, settings: &[&str]) -> Vec<Contradiction> {
    let layers: Vec<ConfigSource> = settings.iter().map(|s| set(s)).collect();
    match method {
        "pix2pix" => found::<pix2pix::Config>(&layers),
        "cyclegan" => found::<cyclegan::Config>(&layers),
        "cut" => found::<cut::Config>(&layers),
        _ => found::<pix2pixhd::Config>(&layers),
    }
}

#[test]
fn sizes_are_refused_in_the_users_words() {
    let text = refusal("pix2pix", &["load_size=143", "crop_size=128"]);
    assert_eq!(
        text,
        "configuration: unet_256 takes sides that are multiples of 256; data.crop_size is 128: \
         use generator.arch = \"unet_128\", or data.crop_size = 256 and data.load_size = 286"
    );
    let text = refusal("pix2pix", &["preprocess=scale_width_and_crop", "load_size=1024", "crop_size=360"]);
    assert!(text.contains("data.crop_size is 360") && text.contains("data.crop_size = 256"), "{text}");
    let text = refusal("cyclegan", &["crop_size=8", "load_size=8"]);
    assert!(text.contains("the basic discriminator takes sides of 24 or more; data.crop_size is 8"), "{text}");
}

/// What has one contradiction has none after any of its remedies.
#[test]
fn every_remedy_works() {
    let hd = ["generator.n_downsample_global=2", "perceptual=none"];
    let hd_and = |more: &[&'static str]| hd.iter().chain(more).copied().collect::<Vec<_>>();
    let cases: Vec<(&str, Vec<&str>)> = vec![
        ("pix2pix", vec!["load_size=143", "crop_size=128"]),
        ("pix2pix", vec!["preprocess=scale_width_and_crop", "load_size=1024", "crop_size=360"]),
        ("pix2pix", vec!["preprocess=resize", "load_size=300"]),
        ("pix2pix", vec!["preprocess=none", "mode=facades", "load_size=20", "generator.arch=resnet_6blocks"]),
        ("pix2pix", vec!["generator.arch=resnet_6blocks", "crop_size=30"]),
        ("pix2pix", vec!["generator.arch=unet", "num_downs=5", "load_size=48", "crop_size=48"]),
        ("pix2pix", vec!["generator.arch=unet", "num_downs=16"]),
        ("pix2pix", vec!["discriminator.arch=n_layers", "n_layers_d=8"]),
        ("pix2pix", vec!["discriminator.arch=n_layers", "n_layers_d=16"]),
        ("pix2pix", vec!["mode=labelled"]),
        ("pix2pix", vec!["mode=streets"]),
        ("pix2pix", vec!["mode=single"]),
        ("pix2pix", vec!["n_epochs=0", "n_epochs_decay=0"]),
        ("pix2pix", vec!["augment.adaptive=true"]),
        ("cyclegan", vec!["augment.adaptive=true", "augment.policy=color", "augment.p=0.5"]),
        ("cut", vec!["augment.adaptive=true"]),
        ("pix2pixhd", hd_and(&["augment.adaptive=true"])),
        ("cyclegan", vec!["crop_size=30"]),
        ("cyclegan", vec!["crop_size=8", "load_size=8"]),
        ("cyclegan", vec!["generator.output_nc=1"]),
        ("cut", vec!["generator.output_nc=1"]),
        ("cut", vec!["nce_layers=[]"]),
        ("cut", vec!["nce_layers=[0,8,4]"]),
        ("cut", vec!["nce_layers=[0,99]"]),
        ("cut", vec!["generator.arch=unet_256", "generator.antialias=false", "generator.antialias_up=false"]),
        ("cut", vec!["mode=streets"]),
        ("cut", vec!["crop_size=8", "load_size=8"]),
        ("pix2pixhd", hd_and(&["crop_size=30", "num_d=1"])),
        ("pix2pixhd", vec!["perceptual=none", "crop_size=16", "load_size=16"]),
        ("pix2pixhd", hd_and(&["generator.arch=local", "crop_size=36"])),
        ("pix2pixhd", hd_and(&["instance_feat=true", "n_downsample_e=5", "crop_size=48", "num_d=1"])),
        ("pix2pixhd", hd_and(&["instance_feat=true", "instances=false"])),
        ("pix2pixhd", hd_and(&["mode=aligned"])),
        ("pix2pixhd", hd_and(&["mode=streets", "instances=false"])),
        ("pix2pixhd", hd_and(&["n_epochs_fix_global=1"])),
        ("pix2pixhd", vec!["generator.output_nc=1"]),
        (
            "pix2pixhd",
            vec![
                "generator.n_downsample_global=1",
                "crop_size=12",
                "discriminator.arch=pixel",
                "feature_matching=false",
            ],
        ),
        ("pix2pixhd", hd_and(&["discriminator.arch=pixel"])),
    ];
    for (method, settings) in cases {
        let before = found_in(method, &settings);
        assert_eq!(before.len(), 1, "{method} {settings:?}: {before:?}");
        assert!(!before[0].remedies.is_empty(), "{}", before[0]);
        for remedy in &before[0].remedies {
            let all: Vec<&str> = settings.iter().copied().chain(remedy.iter().map(String::as_str)).collect();
            assert_eq!(found_in(method, &all), [], "{method} {settings:?} after {remedy:?}");
            resolve(method, &all).unwrap_or_else(|e| panic!("{method} {settings:?} after {remedy:?}: {e}"));
        }
        let text = refusal(method, &settings);
        let jargon = ["conv2d", "kernel", "shape", "cat ", "dim "];
        assert!(!jargon.iter().any(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn all_contradictions_are_named_at_once() {
    let text = refusal("cyclegan", &["crop_size=6", "n_epochs=0", "n_epochs_decay=0", "generator.output_nc=1"]);
    for part in ["4 contradictions", "n_epochs", "identity loss", "resnet_9blocks takes", "discriminator takes"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    // Those of the data, too.
    let text = refusal("pix2pix", &["load_size=100", "crop_size=128", "mode=facades", "generator.input_nc=2"]);
    assert!(text.contains("contradictions") && text.contains("below crop_size"), "{text}");
}

#[test]
fn what_can_be_trained_is_not_refused() {
    for (method, settings) in [
        ("pix2pix", vec![]),
        ("pix2pix", vec!["preprocess=scale_width", "load_size=512"]),
        ("pix2pix", vec!["preprocess=none"]),
        ("pix2pix", vec!["mode=labelled", "label_nc=0"]),
        ("pix2pix", vec!["lr=1e30", "keep=0", "save_minutes=0"]),
        ("cyclegan", vec!["crop_size=24"]),
        ("cyclegan", vec!["generator.output_nc=1", "lambda_identity=0"]),
        ("pix2pixhd", vec!["mode=aligned", "label_nc=0", "instances=false"]),
        ("pix2pixhd", vec!["label_nc=65535"]),
        ("cut", vec!["generator.arch=resnet_4blocks", "nce_layers=[0,2]", "head.arch=sample"]),
        ("cut", vec!["gan_mode=hinge", "nce_layers=0,4,8"]),
        ("cut", vec!["gan_mode=nonsaturating", "nce_layers=4"]),
        ("cyclegan", vec!["generator.antialias=true", "generator.antialias_up=true", "discriminator.antialias=true"]),
    ] {
        resolve(method, &settings).unwrap_or_else(|e| panic!("{method} {settings:?}: {e}"));
    }
    for spec in METHODS {
        resolve(spec.name, spec.smoke_overrides).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
    }
}

/// Numbers of the kinds that reached allocations and loops.
#[test]
fn absurd_numbers_are_refused_by_key_value_range_and_origin() {
    for spec in METHODS {
        for (key, range) in key_ranges(spec.ranges) {
            for value in ["-1", "-0.0", "1000000000000000000", "nan", "inf", "1e300"] {
                let setting = format!("{key}={value}");
                let refused = match (spec.resolve)(&[set(&setting)]) {
                    Err(error @ Error::Config { .. }) => error.to_string(),
                    // The range is that wide.
                    Ok(_) if ["train.lr", "train.lr_g", "train.lr_d", "train.seed"].contains(&&*key) => continue,
                    other => panic!("{setting}: {other:?}"),
                };
                assert!(refused.contains(&key) && refused.contains(&setting), "{refused}");
                let typed = ["invalid", "finite", "too large"].iter().any(|words| refused.contains(words));
                assert!(typed || refused.contains(&range.to_string()), "{refused}");
            }
        }
    }
}

#[test]
fn networks_that_no_machine_holds_are_refused_by_key_and_origin() {
    let text = refusal("pix2pix", &["generator.ngf=4096", "generator.arch=resnet_9blocks"]);
    assert!(text.starts_with("setting `generator.ngf=4096`: `generator.ngf`: ngf = 4096 makes a network"), "{text}");
    let text = refusal("pix2pixhd", &["generator.n_downsample_global=16"]);
    assert!(text.contains("`generator.n_downsample_global`: "), "{text}");
    // One that was made by hand.
    let mut config = pix2pix::Config::default();
    config.generator.n_blocks = 1_000_000;
    let refused = validate(&config).unwrap_err().to_string();
    assert!(refused.contains("`generator.n_blocks`: 1000000 is out of range"), "{refused}");
}

/// A numeric key without a range would reach allocations and loops unchecked.
#[test]
fn every_numeric_key_of_every_method_has_a_range() {
    fn keys<T: Ranged + Default + Serialize + DeserializeOwned>(spec: &MethodSpec) {
        let ranges = key_ranges(spec.ranges);
        for (key, value) in list(&T::default()).unwrap() {
            let numeric = |value: &Value| value.is_integer() || value.is_float();
            let is_number = match value {
                Some(value) => value.parse::<Value>().is_ok_and(|value| numeric(&value)),
                // Optional: it is a number if it takes one.
                None => config::resolve::<T>(&T::default(), &[set(&format!("{key}=1"))]).is_ok_and(|config| {
                    let table = toml::Table::try_from(&config).unwrap();
                    let (parent, leaf) = key.split_once('.').unwrap();
                    numeric(&table[parent][leaf])
                }),
            };
            let ranged = ranges.iter().filter(|(path, _)| *path == key).count();
            assert_eq!(ranged, usize::from(is_number), "{}: {key}", spec.name);
        }
        assert!(ranges.len() > 25, "{}: {}", spec.name, ranges.len());
    }
    keys::<pix2pix::Config>(find("pix2pix"));
    keys::<cyclegan::Config>(find("cyclegan"));
    keys::<pix2pixhd::Config>(find("pix2pixhd"));
    keys::<cut::Config>(find("cut"));
}

#[test]
fn keys_that_an_architecture_has_no_use_for_are_refused() {
    let text = refusal("pix2pix", &["num_downs=5"]);
    assert_eq!(
        text,
        "setting `num_downs=5`: `generator.num_downs`: it is for arch = \"unet\"; unet_256 always has 8: \
         leave it out, or use generator.arch = \"unet\""
    );
    for (method, settings, key) in [
        ("cyclegan", vec!["num_downs=7"], "generator.num_downs"),
        ("cyclegan", vec!["n_blocks=6"], "generator.n_blocks"),
        ("cyclegan", vec!["n_local_enhancers=2"], "generator.n_local_enhancers"),
        ("pix2pix", vec!["generator.padding=zero"], "generator.padding"),
        ("pix2pix", vec!["num_d=2"], "discriminator.num_d"),
        ("pix2pix", vec!["generator.antialias=true"], "generator.antialias"),
        ("pix2pixhd", vec!["discriminator.antialias=true"], "discriminator.antialias"),
        ("pix2pix", vec!["n_layers_d=4"], "discriminator.n_layers_d"),
        ("pix2pix", vec!["discriminator.arch=pixel", "n_layers_d=4"], "discriminator.n_layers_d"),
        ("pix2pixhd", vec!["generator.dropout=true"], "generator.dropout"),
        ("pix2pixhd", vec!["n_blocks_local=2"], "generator.n_blocks_local"),
    ] {
        let text = refusal(method, &settings);
        assert!(text.contains(&format!("`{key}`: it is for arch = ")), "{text}");
    }
}

/// Not refused: the number that the architecture has anyway, a default, and what nobody has set.
#[test]
fn keys_that_say_nothing_else_are_not_refused() {
    for (method, settings) in [
        ("pix2pix", vec!["generator.arch=unet_128", "num_downs=7", "load_size=128", "crop_size=128"]),
        ("pix2pix", vec!["num_downs=8", "n_blocks=9", "n_layers_d=3"]),
        ("cyclegan", vec!["generator.arch=resnet_6blocks", "n_blocks=6"]),
        // dropout is on by default.
        ("pix2pix", vec!["generator.arch=global"]),
    ] {
        resolve(method, &settings).unwrap_or_else(|e| panic!("{method} {settings:?}: {e}"));
    }
    let mut config = pix2pix::Config::default();
    (config.generator.num_downs, config.discriminator.num_d) = (5, 2);
    let saved = ConfigSource::saved(&config).unwrap();
    let again = (find("pix2pix").resolve)(&[saved.clone(), set("lr=1e-3")]).unwrap();
    assert_eq!(again.networks()[0].unused_keys().len(), 9, "{again:?}");
    let ConfigSource::Saved { name, toml } = saved else { panic!("another layer") };
    (find("pix2pix").resolve)(&[ConfigSource::Text { name, toml }]).unwrap_err();
}
