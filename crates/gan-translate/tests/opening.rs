//! Everything that a model may lie in, and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use gan_data::Direction;
use gan_translate::{Elsewhere, Error, Model, ModelConfig, Options, TrainedModel, WeightOptions};
use gan_weights::{checkpoint, pth, safetensors};
use std::fs;
use std::path::Path;
use support::{add_description, copy, fixture, images, reseal, resnet, values, waves, weights, write_model};

/// What a model makes of one and the same image.
fn translated(path: &Path) -> Vec<f32> {
    values(&Model::open(path).unwrap().translate(&waves(3, 12, 9)).unwrap())
}

#[test]
fn a_run_is_its_newest_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(&fixture("pix2pix"), &run);
    let trained = TrainedModel::open(&run).unwrap();
    assert_eq!((trained.step(), trained.config().method.as_str()), (Some(4), "pix2pix"));
    assert_eq!(trained.network_names(), ["d", "g"]);
    assert!(trained.has("d") && !trained.has("e"));
    assert_eq!(trained.features_dir(), run.join("features"));
    let checkpoint = TrainedModel::open(&run.join("checkpoints/4")).unwrap();
    assert_eq!(checkpoint.features_dir(), run.canonicalize().unwrap().join("features"));
    assert_eq!(translated(&run), translated(&run.join("checkpoints/4")));
}

/// A folder of the references: these networks of a run of ours, and options.
fn reference_folder(folder: &Path, run: &TrainedModel, networks: &[(&str, &str)], options: &str) {
    fs::create_dir(folder).unwrap();
    for (network, file) in networks {
        pth::write(folder.join(file), &run.network(network).unwrap()).unwrap();
    }
    fs::write(folder.join("opt.txt"), format!("------------ Options -------------\n{options}")).unwrap();
}

#[test]
fn a_folder_of_pix2pixhd_has_labels_styles_and_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let run = TrainedModel::open(&fixture("pix2pixhd")).unwrap();
    let networks = [("g", "latest_net_G.pth"), ("e", "latest_net_E.pth"), ("d", "latest_net_D.pth")];
    let options = "label_nc: 16\nno_instance: False\ninstance_feat: True\nn_clusters: 7\nnetG: local\nloadSize: 40\nfineSize: 32\nmodel: pix2pixHD\nresize_or_crop: scale_width\n";
    let at = folder.path().join("label2city");
    reference_folder(&at, &run, &networks, options);
    let read = TrainedModel::open(&at).unwrap();
    let (read, run) = (read.config().clone(), run.config().clone());
    assert_eq!((&read.input, read.instances, &read.method), (&run.input, true, &run.method));
    let (ours, theirs) = (run.encoder.unwrap(), read.encoder.unwrap());
    assert_eq!((theirs.config, theirs.styles.n_clusters), (ours.config, 7));
    let (ours, theirs) = (&run.generators[0].config, &read.generators[0].config);
    assert_eq!((theirs.arch, theirs.input_nc, theirs.ngf), (ours.arch, ours.input_nc, ours.ngf));
    assert_eq!((read.sizes.load_size, read.sizes.crop_size), (40, 32));
    assert_eq!(read.sizes.preprocess, gan_data::Preprocess::ScaleWidth);
    // Labels that do not make up the input, and an encoder that is not there.
    for (networks, options) in [(&networks[..], options.replace("16", "15")), (&networks[..1], options.to_owned())] {
        fs::remove_dir_all(&at).unwrap();
        reference_folder(&at, &TrainedModel::open(&fixture("pix2pixhd")).unwrap(), networks, &options);
        let error = TrainedModel::open(&at).unwrap_err();
        assert!(matches!(error, Error::Labels { input_nc: 20, .. }), "{error}");
    }
}

#[test]
fn a_folder_of_one_direction_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = TrainedModel::open(&fixture("cyclegan")).unwrap();
    let at = folder.path().join("horse2zebra");
    reference_folder(&at, &run, &[("g_b", "200_net_G_B.pth"), ("g_a", "150_net_G_A.pth")], "");
    let read = TrainedModel::open(&at).unwrap();
    let generators: Vec<_> = read.config().generators.iter().map(|g| (g.network.as_str(), g.direction)).collect();
    assert_eq!(generators, [("g_b", Direction::B2a)]);
    assert!(read.notes().iter().any(|note| note.contains("opt.txt")), "{:?}", read.notes());
    let options = Options { direction: Some(Direction::B2a), ..Options::default() };
    let ours = Model::load(&run, options.clone()).unwrap().translate(&waves(3, 12, 8)).unwrap();
    let theirs = Model::open_with(&at, options).unwrap().translate(&waves(3, 12, 8)).unwrap();
    assert_eq!(values(&ours), values(&theirs));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(&fixture("pix2pix"), &run);
    let newer = run.join("checkpoints/7");
    copy(&run.join("checkpoints/4"), &newer);
    reseal(&newer, |manifest| manifest.step = 7);
    assert_eq!(TrainedModel::open(&run).unwrap().step(), Some(7));
    let file = newer.join("g.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let trained = TrainedModel::open(&run).unwrap();
    assert_eq!((trained.step(), trained.warnings().len()), (Some(4), 1));
    let notes = Model::open(&run).unwrap().notes().to_vec();
    assert!(notes[0].contains("7/g.safetensors") && notes[0].contains("step 4 is used instead"), "{notes:?}");
    assert!(matches!(TrainedModel::open(&newer), Err(Error::Checkpoint(_))));
    // What a command needs beside the generator is looked for in the same checkpoint.
    fs::remove_file(run.join("checkpoints/4/d.safetensors")).unwrap();
    let error = TrainedModel::open_with(&run, &["d"]).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(checkpoint::Error::NoUsableCheckpoint { .. })), "{error}");
}

#[test]
fn the_description_in_a_checkpoint_counts() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(&fixture("cyclegan"), &run);
    let checkpoint = run.join("checkpoints/4");
    let mut config = TrainedModel::open(&run).unwrap().config().clone();
    config.method = "a method of somebody else".into();
    config.sizes.crop_size = 20;
    add_description(&checkpoint, &config.to_json().unwrap());
    reseal(&checkpoint, |manifest| manifest.method = config.method.clone());
    assert_eq!(TrainedModel::open(&run).unwrap().config(), &config);
    assert_eq!(translated(&run), translated(&fixture("cyclegan")));
}

#[test]
fn descriptions_that_are_wrong_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = TrainedModel::open(&fixture("cyclegan")).unwrap().config().to_json().unwrap();
    for (i, (from, to, said)) in [
        ("\"format\": 1", "\"format\": 9", "a newer version wrote it"),
        // The file says one channel, the weights have three.
        ("\"input_nc\": 3", "\"input_nc\": 1", "g_a.safetensors"),
        ("\"ngf\": 2", "\"ngf\": 0", "ngf: 0 is out of range"),
        ("\"g_b\"", "\"h\"", "it has no h.safetensors"),
        ("{", "", "no description"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = folder.path().join(i.to_string());
        copy(&fixture("cyclegan"), &run);
        add_description(&run.join("checkpoints/4"), &good.replacen(from, to, if from == "{" { 1 } else { 9 }));
        let error = TrainedModel::open(&run).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_folder_of_a_description_and_weights_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let config = images(&[("there", Direction::A2b, resnet(3, 1)), ("back", Direction::B2a, resnet(1, 3))]);
    write_model(&model, &config);
    let trained = TrainedModel::open(&model).unwrap();
    assert_eq!((trained.step(), trained.config()), (None, &config));
    assert_eq!(trained.network_names(), ["back", "there"]);
    let open = |direction| Model::open_with(&model, Options { direction, ..Options::default() }).unwrap();
    assert_eq!(open(None).translate(&waves(3, 8, 8)).unwrap().dims(), [1, 1, 8, 8]);
    assert_eq!(open(Some(Direction::B2a)).translate(&waves(1, 8, 8)).unwrap().dims(), [1, 3, 8, 8]);

    // Weights that are others than the description says.
    safetensors::write(model.join("back.safetensors"), &weights(&resnet(3, 3))).unwrap();
    let error = TrainedModel::open(&model).unwrap_err();
    assert!(matches!(&error, Error::Unusable { path, .. } if path.ends_with("back.safetensors")), "{error}");
    fs::write(model.join(ModelConfig::FILE), config.to_json().unwrap().replace("\"format\": 1", "\"format\": 2"))
        .unwrap();
    let error = TrainedModel::open(&model).unwrap_err();
    assert!(matches!(error, Error::Description { .. }) && error.to_string().contains("newer version"), "{error}");
}

#[test]
fn bare_weight_files_are_models_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let state = weights(&resnet(3, 3));
    let files = ["g.pth", "g.safetensors"].map(|name| folder.path().join(name));
    pth::write(&files[0], &state).unwrap();
    safetensors::write(&files[1], &state).unwrap();
    assert_eq!(translated(&files[0]), translated(&files[1]));
    let model = Model::open(&files[0]).unwrap();
    assert!(model.notes()[0].contains("resnet generator of 1 blocks, 3 to 3 channels"), "{:?}", model.notes());
    let error = TrainedModel::open(&files[0]).unwrap().network("d").unwrap_err();
    assert!(matches!(error, Error::NoNetwork { .. }), "{error}");
    // Three channels are an image unless somebody says that they are labels.
    let labels = WeightOptions { label_nc: Some(2), ..WeightOptions::default() };
    let trained = TrainedModel::open_weights(&files[0], &labels).unwrap();
    assert_eq!((trained.config().classes(), trained.config().instances), (2, true));
    let labels = WeightOptions { label_nc: Some(5), ..WeightOptions::default() };
    assert!(matches!(TrainedModel::open_weights(&files[0], &labels), Err(Error::Labels { label_nc: 5, .. })));
    let discriminator = TrainedModel::open(&fixture("pix2pix")).unwrap().network("d").unwrap();
    safetensors::write(&files[1], &discriminator).unwrap();
    assert!(matches!(TrainedModel::open(&files[1]), Err(Error::NoGenerator { .. })));
    assert!(matches!(TrainedModel::open(&folder.path().join("none.pth")), Err(Error::Weights(_))));
}

#[test]
fn options_that_a_model_has_no_use_for_are_refused() {
    let open = |options| Model::open_with(fixture("pix2pix"), options).err().unwrap();
    let direction = Some(Direction::B2a);
    assert!(matches!(open(Options { direction, ..Options::default() }), Error::NoDirection { .. }));
    assert!(matches!(open(Options { style: Some(1), ..Options::default() }), Error::NoEncoder));
    let precision = gan_layers::Precision::Bf16;
    assert!(matches!(open(Options { precision, ..Options::default() }), Error::NoBf16));
    let weights = WeightOptions { label_nc: Some(3), ..WeightOptions::default() };
    assert!(matches!(open(Options { weights, ..Options::default() }), Error::KnownModel { .. }));
}

#[test]
fn paths_without_a_model_tell_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = |path: &Path| match TrainedModel::open(path).unwrap_err() {
        Error::NoModel { elsewhere, .. } => elsewhere,
        other => panic!("{other}"),
    };
    assert_eq!(elsewhere(&folder.path().join("nowhere")), Elsewhere::Nothing);
    let runs = ["cyclegan", "pix2pix", "pix2pixhd"].map(String::from).to_vec();
    assert_eq!(elsewhere(&fixture("")), Elsewhere::Runs(runs));
    assert!(matches!(
        TrainedModel::open(folder.path()),
        Err(Error::Checkpoint(checkpoint::Error::NoCheckpoint { .. }))
    ));
}

#[test]
fn a_model_in_memory_translates_as_its_checkpoint_does() {
    let run = fixture("pix2pix");
    let trained = TrainedModel::open(&run).unwrap();
    let config = trained.config().clone();
    let networks = vec![("g".to_owned(), trained.network("g").unwrap())];
    let open = |networks| TrainedModel::in_memory(&run, config.clone(), networks);
    let model = open(networks.clone()).unwrap();
    assert_eq!(
        (model.step(), model.network_names(), model.features_dir()),
        (None, vec!["g".to_owned()], run.join("features"))
    );
    let made = Model::load(&model, Options::default()).unwrap().translate(&waves(3, 12, 9)).unwrap();
    assert_eq!(values(&made), translated(&run));
    assert!(matches!(open(Vec::new()), Err(Error::NoNetwork { .. })));
    let mut broken = networks;
    broken[0].1 = broken[0].1.iter().map(|(name, t)| (name.to_owned(), (t * f64::NAN).unwrap_or(t.clone()))).collect();
    assert!(matches!(open(broken), Err(Error::Unusable { .. })));
}
