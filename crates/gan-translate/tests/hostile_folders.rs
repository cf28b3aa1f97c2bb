//! Folders that strangers made: of the Python repositories, of hubs, with statistics and styles. Damaged, edited or absurd, they are refused
//! by their path, or what is opened holds together.
#![allow(clippy::unwrap_used)]

mod support;

use gan_nets::{Arch, EncoderConfig, GeneratorConfig};
use gan_translate::{Direction, Error, HubConfig, HubValues, Statistics, StyleClusters, TrainedModel};
use gan_weights::{pth, safetensors};
use std::fs;
use std::path::Path;
use support::{encoder_weights, images, resnet, weights, write_model};

/// Opens a folder: what it is refused with names a path in it, and what is opened can be true. Returns the refusal.
fn open(folder: &Path) -> Option<String> {
    match TrainedModel::open(folder) {
        Ok(model) => {
            model.config().validate().unwrap();
            None
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(folder.to_str().unwrap()), "no path: {said}");
            Some(said)
        }
    }
}

/// The generator of a folder of pix2pixHD: 17 labels and edges, and the features of an encoder.
fn global(input_nc: usize) -> GeneratorConfig {
    let config = GeneratorConfig { arch: Arch::Global, input_nc, ngf: 2, ..GeneratorConfig::default() };
    GeneratorConfig { n_downsample_global: 1, n_blocks_global: 1, ..config }
}

#[test]
fn options_of_any_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("city");
    fs::create_dir(&at).unwrap();
    let encoder = EncoderConfig { nef: 2, n_downsample: 1, feat_num: 3, ..EncoderConfig::default() };
    pth::write(at.join("latest_net_G.pth"), &weights(&global(21))).unwrap();
    pth::write(at.join("latest_net_E.pth"), &encoder_weights(&encoder)).unwrap();
    let options = "label_nc: 17\nno_instance: False\ninstance_feat: True\nn_clusters: 10\nnetG: global\nloadSize: 40\nfineSize: 32\n";
    let write = |text: &str| fs::write(at.join("train_opt.txt"), text).unwrap();
    write(options);
    assert_eq!(open(&at), None);
    let (mut cases, mut refused) = (0, 0);
    let huge =
        ["0", "1", "16", "18", "-1", "1e9", "4294967295", "9223372036854775807", "18446744073709551615", "", "nan"];
    for (key, value) in
        [("label_nc", "17"), ("n_clusters", "10"), ("loadSize", "40"), ("fineSize", "32"), ("netG", "global")]
    {
        for other in huge {
            for dont_care in ["", "contain_dontcare_label: True\n"] {
                write(&(options.replace(&format!("{key}: {value}"), &format!("{key}: {other}")) + dont_care));
                refused += usize::from(open(&at).is_some());
                cases += 1;
            }
        }
    }
    // Cut anywhere, and with lines that are none.
    for end in 0..options.len() {
        write(&options[..end]);
        refused += usize::from(open(&at).is_some());
        cases += 1;
    }
    for text in [": : :", "label_nc", "label_nc: 17: 18", "\u{feff}label_nc: 17", "label_nc : 17\0", "[default: x]"] {
        write(&format!("{text}\n{options}"));
        refused += usize::from(open(&at).is_some());
        cases += 1;
    }
    assert!(cases > 200 && refused > 100, "{refused} of {cases} refused");
    // With a label that means no label these make up any number of channels, if they are counted without care.
    write(&(options.replace("17", "18446744073709551615") + "contain_dontcare_label: True\n"));
    assert!(matches!(TrainedModel::open(&at), Err(Error::Labels { input_nc: 21, .. })));
    write(&options.replace("n_clusters: 10", "n_clusters: 0"));
    assert!(open(&at).unwrap().contains("train_opt.txt: n_clusters is 0"));
}

#[test]
fn options_that_cannot_be_read_are_not_passed_over_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("facades");
    fs::create_dir(&at).unwrap();
    pth::write(at.join("latest_net_G.pth"), &weights(&resnet(3, 3))).unwrap();
    let notes = || TrainedModel::open(&at).unwrap().notes().join("\n");
    assert!(notes().contains("has no train_opt.txt or opt.txt"));
    fs::create_dir(at.join("train_opt.txt")).unwrap();
    assert!(notes().contains("train_opt.txt is passed over"), "{}", notes());
    fs::write(at.join("opt.txt"), "loadSize: 143\nfineSize: 128\n").unwrap();
    let said = notes();
    assert!(said.contains("train_opt.txt is passed over") && said.contains("options read from"), "{said}");
    // Too large to be options, and a path that is no UTF-8.
    fs::write(at.join("opt.txt"), vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(notes().contains("opt.txt is passed over"), "{}", notes());
    fs::write(at.join("opt.txt"), b"dataroot: \xff\xfe\nloadSize: 143\nfineSize: 128\n").unwrap();
    assert_eq!(TrainedModel::open(&at).unwrap().config().sizes.load_size, 143);
}

#[test]
fn generators_of_reference_folders_are_damaged_or_lead_astray() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("horse2zebra");
    fs::create_dir(&at).unwrap();
    let file = at.join("latest_net_G.pth");
    pth::write(&file, &weights(&resnet(3, 3))).unwrap();
    let good = fs::read(&file).unwrap();
    assert_eq!(open(&at), None);
    let (mut cuts, mut flips) = (0, 0);
    for end in (0..good.len()).step_by(97) {
        fs::write(&file, &good[..end]).unwrap();
        assert!(open(&at).unwrap().contains("latest_net_G.pth"), "{end} bytes");
        cuts += 1;
    }
    for at_byte in (0..good.len()).step_by(61) {
        let mut changed = good.clone();
        changed[at_byte] ^= 1 << (at_byte % 8);
        fs::write(&file, changed).unwrap();
        open(&at);
        flips += 1;
    }
    assert!(cuts > 50 && flips > 80, "{cuts} cuts, {flips} flips");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        for target in ["latest_net_G.pth", "none", ".", "/dev/null", "/dev/zero"] {
            fs::remove_file(&file).unwrap();
            symlink(target, &file).unwrap();
            assert!(open(&at).is_some(), "a link to {target}");
        }
        // One that leads to a file is that file.
        fs::write(folder.path().join("elsewhere"), &good).unwrap();
        fs::remove_file(&file).unwrap();
        symlink("../elsewhere", &file).unwrap();
        assert_eq!(open(&at), None);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(open(&at).unwrap().contains("latest_net_G.pth"));
    fs::remove_dir(&file).unwrap();
    // Numbers that are none, or too large, name no state.
    for name in ["18446744073709551616_net_G.pth", "-1_net_G.pth", "iter__net_G.pth", "_net_G.pth", "1e3_net_G.pth"] {
        fs::write(at.join(name), &good).unwrap();
        assert!(open(&at).is_some(), "{name}");
        fs::remove_file(at.join(name)).unwrap();
    }
    fs::write(at.join("18446744073709551615_net_G.pth"), &good).unwrap();
    assert_eq!(open(&at), None);
}

#[test]
fn folders_of_hubs() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, at) = (folder.path().join("plain"), folder.path().join("hub"));
    write_model(&plain, &images(&[("g", Direction::A2b, resnet(3, 3))]));
    fs::create_dir(&at).unwrap();
    fs::copy(plain.join("g.safetensors"), at.join(HubConfig::WEIGHTS)).unwrap();
    let values = HubValues { kind: "image".into(), channels: 3, value_range: [-1.0, 1.0], size_multiple: 4 };
    let config = HubConfig {
        library_name: HubConfig::LIBRARY.into(),
        format: HubConfig::FORMAT,
        model_type: "cyclegan".into(),
        architecture: "a ResNet".into(),
        input: values.clone(),
        output: values,
        model: TrainedModel::open(&plain).unwrap().config().clone(),
    };
    let text = config.to_json().unwrap();
    let description = at.join(HubConfig::FILE);
    fs::write(&description, &text).unwrap();
    assert_eq!(open(&at), None);
    let mut cases = 0;
    for end in (0..text.trim_end().len()).step_by(7) {
        fs::write(&description, &text[..end]).unwrap();
        assert!(open(&at).unwrap().contains("config.json"), "{end} bytes");
        cases += 1;
    }
    // Every number becomes others, one at a time.
    let digits: Vec<usize> = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
    for &digit in &digits {
        for other in ["0", "-1", "1e300", "18446744073709551615", "1000000000000000000", "null", "[]"] {
            fs::write(&description, format!("{}{other}{}", &text[..digit], &text[digit + 1..])).unwrap();
            open(&at);
            cases += 1;
        }
    }
    fs::write(&description, &text).unwrap();
    let weights = fs::read(at.join(HubConfig::WEIGHTS)).unwrap();
    for end in (0..weights.len()).step_by(97) {
        fs::write(at.join(HubConfig::WEIGHTS), &weights[..end]).unwrap();
        assert!(open(&at).unwrap().contains("model.safetensors"), "{end} bytes");
        cases += 1;
    }
    for byte in (0..weights.len()).step_by(61) {
        let mut changed = weights.clone();
        changed[byte] ^= 1 << (byte % 8);
        fs::write(at.join(HubConfig::WEIGHTS), changed).unwrap();
        open(&at);
        cases += 1;
    }
    assert!(cases > 400, "{cases}");
}

#[test]
fn statistics_and_styles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statistics.json");
    let text = r#"{"format":1,"generator":"00","images":3,"norms":{"model.2":{"mean":[0.5,-1.5],"var":[1.0,0.25]}}}"#;
    fs::write(&path, text).unwrap();
    assert_eq!(Statistics::load(&path).unwrap().images(), 3);
    let mut cases = 0;
    let mut refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = Statistics::load(&path).unwrap_err().to_string();
        assert!(error.contains("statistics.json"), "{what}: {error}");
        cases += 1;
    };
    for end in 0..text.len() {
        refused(&text.as_bytes()[..end], "cut");
    }
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("3", "-3"),
        ("3", "18446744073709551616"),
        ("0.25", "-0.25"),
        ("0.25", "1e300"),
        ("0.25", "null"),
        ("0.25", "0.25,1"),
        ("[0.5,-1.5]", "[]"),
        ("}}}", "}}} x"),
        ("}}}", "},\"model.2\":{\"mean\":[],\"var\":[]}}}"),
        ("{\"format\"", &("[".repeat(100_000) + "{\"format\"")),
        ("\"images\"", "\"pages\""),
    ] {
        refused(text.replace(from, to).as_bytes(), to);
    }
    assert!(cases > 100);

    let styles = folder.path().join(StyleClusters::FILE);
    let clusters = StyleClusters::new(2, [(7, vec![vec![0.25, 0.5]]), (26, vec![vec![1.0, 2.0]; 3])].into());
    safetensors::write(&styles, &clusters.to_tensors().unwrap().into_iter().collect()).unwrap();
    let good = fs::read(&styles).unwrap();
    let mut cases = 0;
    let mut refused = |bytes: &[u8], what: &str| {
        fs::write(&styles, bytes).unwrap();
        let error = StyleClusters::load(folder.path(), 2).unwrap_err().to_string();
        assert!(error.contains(StyleClusters::FILE), "{what}: {error}");
        cases += 1;
    };
    for end in 0..good.len() {
        refused(&good[..end], "cut");
    }
    let changed = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    for (from, to) in [
        (&b"label.7"[..], &b"label.x"[..]),
        (b"label.26", b"label.-1"),
        (b"label.26", b"label.+7"),
        (b"\"F32\"", b"\"I32\""),
        (&0.25f32.to_le_bytes(), &f32::NAN.to_le_bytes()),
        (&2f32.to_le_bytes(), &f32::INFINITY.to_le_bytes()),
    ] {
        refused(&changed(from, to), &from.escape_ascii().to_string());
    }
    assert!(cases > 100);
}
