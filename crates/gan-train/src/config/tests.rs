//! Layers of configuration, case by case.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use gan_range::Range;
use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    name: String,
    train: Train,
    generator: Network,
    discriminator: Network,
    style: Option<Style>,
    limits: BTreeMap<String, u32>,
}

impl Default for Config {
    fn default() -> Self {
        let network = |norm: &str, width| Network { norm: norm.to_owned(), width, kind: Kind::Basic };
        Config {
            name: "run".to_owned(),
            train: Train::default(),
            generator: network("instance", 64),
            discriminator: network("batch", 32),
            style: None,
            limits: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Train {
    lr: f64,
    beta1: f32,
    n_epochs: u32,
    flip: bool,
    milestones: Vec<u32>,
    max_dataset_size: Option<u64>,
}

impl Default for Train {
    fn default() -> Self {
        Train { lr: 2e-4, beta1: 0.5, n_epochs: 100, flip: true, milestones: vec![], max_dataset_size: None }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    norm: String,
    width: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Basic,
    NLayers,
    Pixel,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Style {
    feat_num: u32,
    clusters: u32,
}

impl Ranged for Config {
    const TABLES: Tables = &[
        (
            "train",
            &[Range::positive("lr", f64::MAX), Range::below("beta1", 0.0, 1.0), Range::whole("n_epochs", 0, 1000)],
            &[],
        ),
        ("train", &[Range::whole("max_dataset_size", 1, 100)], &[]),
        ("generator", &[Range::whole("width", 1, 4096)], &[]),
    ];
}

fn text(toml: &str) -> ConfigSource {
    ConfigSource::Text { name: "run.toml".to_owned(), toml: toml.to_owned() }
}

fn set(setting: &str) -> ConfigSource {
    ConfigSource::Setting(setting.to_owned())
}

fn resolved(layers: &[ConfigSource]) -> Result<Config, String> {
    resolve(&Config::default(), layers).map_err(|error| error.to_string())
}

/// What the layers change in the configuration, as TOML on one line.
fn changes(layers: &[ConfigSource]) -> Result<String, String> {
    let changed = differences(&Config::default(), &resolved(layers)?).unwrap();
    let show = |d: &Difference| format!("{}={}", d.key, d.after.as_ref().unwrap());
    Ok(changed.iter().map(show).collect::<Vec<_>>().join(" "))
}

/// Compares every case, so that one run shows all that differ.
fn assert_all(cases: &[(&[ConfigSource], &str)], got: impl Fn(&[ConfigSource]) -> String) {
    let differ = |(layers, expected): &(&[ConfigSource], &str)| {
        let got = got(layers);
        (got != *expected).then(|| format!("{layers:?}\n   got: {got}\n  want: {expected}"))
    };
    let wrong: Vec<String> = cases.iter().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn accepted() {
    let cases: &[(&[ConfigSource], &str)] = &[
        (&[], ""),
        (&[text("")], ""),
        (&[text("\u{feff}[train]\r\nlr = 1e-3\r\n# note\r\nn_epochs = 5\r\n")], "train.lr=0.001 train.n_epochs=5"),
        (&[text("train.lr = 1")], "train.lr=1.0"),
        (&[text("train = { lr = 0.5, flip = false }")], "train.flip=false train.lr=0.5"),
        (&[text("[train]\nmilestones = [1, 2]")], "train.milestones=[1, 2]"),
        (&[text("[train]\nmax_dataset_size = 10")], "train.max_dataset_size=10"),
        (&[text("[style]\nfeat_num = 3")], "style={ clusters = 0, feat_num = 3 }"),
        (&[text("[limits]\nanything = 3")], "limits.anything=3"),
        (&[text("[generator]\nkind = \"n_layers\"")], "generator.kind=\"n_layers\""),
        // The later layer wins, key by key.
        (&[text("train.lr = 1.0\ntrain.n_epochs = 7"), text("train.lr = 2.0")], "train.lr=2.0 train.n_epochs=7"),
        (&[text("train.lr = 1.0"), set("lr=3")], "train.lr=3.0"),
        (&[set("lr=3"), set("lr=4")], "train.lr=4.0"),
        // A wrong value may be put right.
        (&[text("train.n_epochs = -1"), set("n_epochs=4")], "train.n_epochs=4"),
        // Keys by path and by unique end; values with and without quotes.
        (&[set("train.lr=1e-3")], "train.lr=0.001"),
        (&[set(" lr = .5 ")], "train.lr=0.5"),
        (&[set("lr=1.")], "train.lr=1.0"),
        (&[set("n_epochs=1_000")], "train.n_epochs=1000"),
        (&[set("flip=false")], "train.flip=false"),
        (&[set("milestones=[3, 4]")], "train.milestones=[3, 4]"),
        (&[set("generator.norm=none")], "generator.norm=\"none\""),
        (&[set("generator.norm=\"a b\"")], "generator.norm=\"a b\""),
        (&[set("generator.kind=pixel")], "generator.kind=\"pixel\""),
        (&[set("name=2024")], "name=\"2024\""),
        (&[set("name=true")], "name=\"true\""),
        (&[set("name=a=b")], "name=\"a=b\""),
        (&[set("name=")], "name=\"\""),
        (&[set("name=C:\\data")], "name='C:\\data'"),
        (&[set("name='2024'")], "name=\"2024\""),
        (&[set("max_dataset_size=5")], "train.max_dataset_size=5"),
        (&[set("generator={width=8}")], "generator.width=8"),
        (&[text("name = 2024-01-01")], "name=\"2024-01-01\""),
        // A table that is switched on makes its keys known.
        (&[text("[style]"), set("clusters=9")], "style={ clusters = 9, feat_num = 0 }"),
    ];
    assert_all(cases, |layers| changes(layers).unwrap_or_else(|error| format!("refused: {error}")));
}

#[test]
fn refused() {
    let cases: &[(&[ConfigSource], &str)] = &[
        // Unknown keys.
        (&[text("[train]\nn_epoch = 3")], "run.toml:2:1: unknown key `train.n_epoch`; did you mean `train.n_epochs`?"),
        (
            &[text("[train]\n  N-Epochs = 3")],
            "run.toml:2:3: unknown key `train.N-Epochs`; did you mean `train.n_epochs`?",
        ),
        (&[text("lr = 1")], "run.toml:1:1: unknown key `lr`; did you mean `train.lr`?"),
        (&[text("[generator]\nbeta1 = 1")], "run.toml:2:1: unknown key `generator.beta1`; did you mean `train.beta1`?"),
        (&[text("[trian]\nlr = 1")], "run.toml:1:2: unknown key `trian`; did you mean `train`?"),
        (
            &[text("[generator]\nmomentum = 1")],
            "run.toml:2:1: unknown key `generator.momentum`; the keys here are kind, norm, width",
        ),
        (
            &[text("train = { lr = 1, zzzzz = 2 }")],
            "run.toml:1:19: unknown key `train.zzzzz`; the keys here are beta1, flip, lr, max_dataset_size, milestones, n_epochs",
        ),
        (
            &[text("zzz = 1\n[train]\nyyy = 2")],
            "run.toml:1:1: unknown key `zzz`; the keys here are discriminator, generator, limits, name, style, train",
        ),
        (
            &[text("[style]\nfeatnum = 3")],
            "run.toml:2:11: `style.featnum`: unknown field `featnum`, expected `feat_num` or `clusters`",
        ),
        (&[set("lrr=1")], "setting `lrr=1`: unknown key `lrr`; did you mean `train.lr`?"),
        (&[set("train.lrr=1")], "setting `train.lrr=1`: unknown key `train.lrr`; did you mean `train.lr`?"),
        (
            &[set("generator={widht=8}")],
            "setting `generator={widht=8}`: unknown key `generator.widht`; did you mean `generator.width`?",
        ),
        (&[set("rain.lr=1")], "setting `rain.lr=1`: unknown key `rain.lr`; did you mean `train.lr`?"),
        (&[set("r=1")], "setting `r=1`: unknown key `r`; did you mean `train.lr`?"),
        (&[set("learning_rate=1")], "setting `learning_rate=1`: unknown key `learning_rate`; did you mean `train.lr`?"),
        // Ambiguous keys and tables.
        (
            &[set("kind=many")],
            "setting `kind=many`: `kind` is ambiguous; write one of discriminator.kind, generator.kind",
        ),
        (
            &[set("train=3")],
            "setting `train=3`: `train` is a table; set one of beta1, flip, lr, max_dataset_size, milestones, n_epochs",
        ),
        // Form of a setting.
        (&[set("lr")], "setting `lr`: expected key=value"),
        (&[set("=3")], "setting `=3`: expected a key before `=`"),
        (&[set("")], "setting ``: expected key=value"),
        (
            &[set("milestones=[1,")],
            "setting `milestones=[1,`: the value is not valid TOML: unclosed array, expected `]`",
        ),
        (&[set("name=\"x")], "setting `name=\"x`: the value is not valid TOML: invalid basic string, expected `\"`"),
        (
            &[set("lr=1\nname=2")],
            "setting `lr=1 name=2`: `train.lr`: invalid type: string \"1\\nname=2\", expected f64",
        ),
        // Wrong types and values.
        (&[text("[train]\nlr = \"fast\"")], "run.toml:2:6: `train.lr`: invalid type: string \"fast\", expected f64"),
        (
            &[text("\r\n\r\n[train]\r\nlr = true")],
            "run.toml:4:6: `train.lr`: invalid type: boolean `true`, expected f64",
        ),
        (
            &[text("[train]\nn_epochs = 1.5")],
            "run.toml:2:12: `train.n_epochs`: invalid type: floating point `1.5`, expected u32",
        ),
        (
            &[text("[train]\nn_epochs = -3")],
            "run.toml:2:12: `train.n_epochs`: invalid value: integer `-3`, expected u32",
        ),
        (
            &[text("[train]\nn_epochs = 5000000000")],
            "run.toml:2:12: `train.n_epochs`: invalid value: integer `5000000000`, expected u32",
        ),
        (
            &[text("[train]\nmilestones = [1, \"x\"]")],
            "run.toml:2:18: `train.milestones[1]`: invalid type: string \"x\", expected u32",
        ),
        // A table of another kind is refused where it stands: what follows would drop it.
        (
            &[text("train = 3"), set("lr=1")],
            "run.toml:1:9: `train` is a table: write `[train]` once, and below it its keys: beta1, flip, lr, max_dataset_size, milestones, n_epochs",
        ),
        (
            &[text("name = \"x\"\n[[train]]\nlr = 0.01"), text("[train]\nlr = 1"), set("lr=1")],
            "run.toml:2:1: `train` is a table: write `[train]` once, and below it its keys: beta1, flip, lr, max_dataset_size, milestones, n_epochs",
        ),
        // Ranges, by the layer that the value comes from.
        (
            &[text("[train]\nlr = 0"), set("flip=false")],
            "run.toml:2:6: `train.lr`: 0.0 is out of range; it has to be a number above 0",
        ),
        (&[set("lr=-0.0")], "setting `lr=-0.0`: `train.lr`: -0.0 is out of range; it has to be a number above 0"),
        (
            &[text("[train]\nn_epochs = 2"), set("n_epochs=1001")],
            "setting `n_epochs=1001`: `train.n_epochs`: 1001 is out of range; it has to be a whole number from 0 to 1000",
        ),
        (
            &[set("beta1=1")],
            "setting `beta1=1`: `train.beta1`: 1.0 is out of range; it has to be a number from 0 to 1, 1 excluded",
        ),
        (
            &[set("max_dataset_size=0")],
            "setting `max_dataset_size=0`: `train.max_dataset_size`: 0 is out of range; it has to be a whole number from 1 to 100",
        ),
        (
            &[text("generator.kind = \"pixle\"")],
            "run.toml:1:18: `generator.kind`: unknown variant `pixle`, expected one of `basic`, `n_layers`, `pixel`; did you mean `pixel`?",
        ),
        (
            &[set("n_epochs=many")],
            "setting `n_epochs=many`: `train.n_epochs`: invalid type: string \"many\", expected u32",
        ),
        (&[set("flip=True")], "setting `flip=True`: `train.flip`: invalid type: string \"True\", expected a boolean"),
        (
            &[set("max_dataset_size=-1")],
            "setting `max_dataset_size=-1`: `train.max_dataset_size`: invalid value: integer `-1`, expected u64",
        ),
        (
            &[text("train.lr = 1.0"), text("train.n_epochs = \"x\"")],
            "run.toml:1:18: `train.n_epochs`: invalid type: string \"x\", expected u32",
        ),
        // Numbers.
        (&[text("[train]\nlr = nan")], "run.toml:2:6: `train.lr`: the number must be finite"),
        (&[text("[train]\nlr = -inf")], "run.toml:2:6: `train.lr`: the number must be finite"),
        (
            &[text("train.milestones = [1, [nan]]")],
            "run.toml:1:25: `train.milestones[1][0]`: the number must be finite",
        ),
        (&[set("lr=nan")], "setting `lr=nan`: `train.lr`: the number must be finite"),
        (&[set("lr=inf")], "setting `lr=inf`: `train.lr`: the number must be finite"),
        (&[set("lr=NaN")], "setting `lr=NaN`: `train.lr`: the number must be finite"),
        (&[text("[train]\nbeta1 = 1e308")], "run.toml:2:9: `train.beta1`: the number is too large"),
        (&[set("beta1=1e39")], "setting `beta1=1e39`: `train.beta1`: the number is too large"),
        // Syntax.
        (&[text("[train]\nlr = ")], "run.toml:2:6: string values must be quoted, expected literal string"),
        (&[text("[train\nlr = 1")], "run.toml:1:7: unclosed table, expected `]`"),
        (&[text("[train]\nlr = 1\nlr = 2")], "run.toml:3:1: duplicate key"),
        (&[text("name = \"ünï\" x")], "run.toml:1:14: unexpected key or value, expected newline, `#`"),
    ];
    assert_all(cases, |layers| resolved(layers).map_or_else(|error| error, |_| "accepted".to_owned()));
}

#[test]
fn size_and_depth_are_limited() {
    let large = format!("name = \"{}\"", "x".repeat(MAX_BYTES));
    assert!(resolved(&[text(&large)]).unwrap_err().contains("larger than 1048576 bytes"));
    assert!(resolved(&[set(&large)]).unwrap_err().contains("longer than"));
    let deep = format!("name = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(resolved(&[text(&deep)]).unwrap_err().starts_with("run.toml:1:"));
    assert!(resolved(&[set(&deep)]).is_err());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.toml");
    std::fs::write(&path, vec![b'#'; 10 << 20]).unwrap();
    assert!(ConfigSource::file(&path).unwrap_err().to_string().contains("larger than"));
    std::fs::write(&path, b"# fine\nname = \"\xff\"").unwrap();
    assert!(ConfigSource::file(&path).unwrap_err().to_string().ends_with("big.toml:2:9: the file is not UTF-8"));
    std::fs::write(&path, b"[train]\nlr = 3").unwrap();
    assert_eq!(resolved(&[ConfigSource::file(&path).unwrap()]).unwrap().train.lr, 3.0);
    assert!(ConfigSource::file(folder.path()).is_err());
}

#[test]
fn what_was_made_by_hand_is_checked_too() {
    let mut config = Config::default();
    check_numbers(&config).unwrap();
    config.generator.width = 5000;
    assert_eq!(
        check_numbers(&config).unwrap_err().to_string(),
        "configuration: `generator.width`: 5000 is out of range; it has to be a whole number from 1 to 4096"
    );
}

#[test]
fn what_a_user_has_set_is_told_from_what_was_saved() {
    let saved =
        ConfigSource::Saved { name: "config.toml".to_owned(), toml: "[generator]\nwidth = 8\nnorm = \"x\"".to_owned() };
    let layers = [saved, text("train.lr = 2e-4\nname = \"a\""), set("generator.norm=y")];
    let layered = lay(&Config::default(), &layers).unwrap();
    assert!(layered.is_changed("name") && layered.is_changed("generator.norm"));
    // Saved, set to the default, and not set at all.
    assert!(!["generator.width", "train.lr", "train.beta1"].iter().any(|path| layered.is_changed(path)));
    let said = |path: &str| layered.refuse(path, "no").to_string();
    assert_eq!(said("generator.norm"), "setting `generator.norm=y`: `generator.norm`: no");
    assert_eq!(said("generator.width"), "config.toml:2:9: `generator.width`: no");
    assert_eq!(said("discriminator.width"), "configuration: `discriminator.width`: no");
}

#[test]
fn what_is_written_resolves_to_itself() {
    let config = resolved(&[text("[style]\nclusters = 4"), set("lr=0.1"), set("beta1=0.3")]).unwrap();
    let written = toml::to_string_pretty(&config).unwrap();
    assert_eq!(resolved(&[text(&written)]).unwrap(), config);
}

#[test]
fn differences_go_both_ways() {
    let styled = resolved(&[text("[style]\nclusters = 4"), set("lr=0.1")]).unwrap();
    let shown: Vec<String> =
        differences(&styled, &Config::default()).unwrap().iter().map(Difference::to_string).collect();
    assert_eq!(shown, ["style: { clusters = 4, feat_num = 0 } -> (none)", "train.lr: 0.1 -> 0.0002"]);
    assert!(differences(&styled, &styled).unwrap().is_empty());
}

#[test]
fn every_key_is_listed() {
    let listed = list(&Config::default()).unwrap();
    let get = |key: &str| listed.iter().find(|(path, _)| path == key).map(|(_, value)| value.as_deref());
    assert_eq!(get("train.lr"), Some(Some("0.0002")));
    assert_eq!(get("train.max_dataset_size"), Some(None));
    assert_eq!(get("generator.norm"), Some(Some("\"instance\"")));
    assert_eq!(get("train"), None);
    assert_eq!(listed.len(), 1 + 6 + 3 + 3 + 1 + 1);
}

#[test]
fn a_key_of_several_networks_is_set_where_it_fits() {
    let both = lay(&Config::default(), &[set("norm=group")]).unwrap();
    assert_eq!((&*both.config.generator.norm, &*both.config.discriminator.norm), ("group", "group"));
    let origin = "setting `norm=group`".to_owned();
    assert_eq!(both.origins["generator.norm"], origin);
    let set_in = vec!["discriminator.norm".to_owned(), "generator.norm".to_owned()];
    assert_eq!(both.shared, [SharedSetting { origin, set: set_in, left: Vec::new() }]);
    let refused = resolved(&[set("generator.kind=NLayer")]).unwrap_err();
    assert!(refused.ends_with("did you mean `n_layers`?"), "{refused}");
}
