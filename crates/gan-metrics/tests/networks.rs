//! Weight files of the networks: what is asked of them, and what is said of others. (What the networks compute is compared with the
//! reference packages in the project's parity tests.)
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::weight::Weight;
use gan_layers::{Builder, Counter, Param, Role, Source};
use gan_metrics::Error;
use gan_metrics::networks::{INCEPTION, InceptionV3, KnownFile, Lpips, LpipsNet, OtherFiles, verify};
use gan_rng::{Key, Purpose};
use gan_weights::{StateDict, pth};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Names and shapes of what a network is built from.
type Shapes = BTreeMap<String, Vec<usize>>;

/// Hands out one broadcast value and notes what it was asked for.
struct Recorder(Rc<RefCell<Shapes>>);

impl Recorder {
    fn tensor(&self, path: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.borrow_mut().insert(path.to_string(), shape.to_vec());
        Tensor::ones((), DType::F32, &Device::Cpu)?.broadcast_as(shape)
    }
}

impl Source for Recorder {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> Result<Param> {
        Ok(Param { weight: Weight::constant(self.tensor(path, shape)?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], _: f64) -> Result<Tensor> {
        self.tensor(path, shape)
    }
    fn counter(&self, path: &str) -> Result<Counter> {
        self.0.borrow_mut().insert(path.to_string(), Vec::new());
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// What a network asks its builder for.
fn asked_for<T>(build: impl FnOnce(&dyn Fn() -> Builder<'static>) -> Result<T>) -> Shapes {
    let shapes = Rc::default();
    build(&|| Builder::new(Recorder(Rc::clone(&shapes)))).unwrap();
    shapes.take()
}

fn inception() -> Shapes {
    asked_for(|builder| InceptionV3::build(builder()))
}

/// Small positive values that depend on the name.
fn drawn(shapes: Shapes) -> StateDict {
    let draw = |(name, shape): (String, Vec<usize>)| {
        let mut values = vec![0f32; shape.iter().product()];
        Key::new(1, Purpose::Test).at_name(&name).fill_normal(0, &mut values);
        values.iter_mut().for_each(|v| *v = 0.05 * v.abs());
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    shapes.into_iter().map(draw).collect()
}

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
}

fn images(seed: u64) -> Tensor {
    let mut values = vec![0f32; 2 * 3 * 40 * 52];
    Key::new(seed, Purpose::Test).fill_normal(0, &mut values);
    Tensor::from_vec(values, (2, 3, 40, 52), &Device::Cpu).unwrap().tanh().unwrap()
}

#[test]
fn inception_has_the_tensors_of_the_published_file() {
    let shapes = inception();
    let elements = |of: fn(&str) -> bool| -> usize {
        shapes.iter().filter(|(name, _)| of(name)).map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    assert_eq!(shapes.len(), 566);
    assert_eq!(elements(|name| name.contains("running_")), 34_432);
    assert_eq!(elements(|name| !name.contains("running_") && !name.contains("num_batches")), 23_850_960);
    for (name, shape) in [
        ("Conv2d_1a_3x3.conv.weight", &[32, 3, 3, 3][..]),
        ("Mixed_5b.branch_pool.conv.weight", &[32, 192, 1, 1]),
        ("Mixed_6c.branch7x7dbl_2.conv.weight", &[160, 160, 7, 1]),
        ("Mixed_6e.branch7x7_2.conv.weight", &[192, 192, 1, 7]),
        ("Mixed_7a.branch7x7x3_4.conv.weight", &[192, 192, 3, 3]),
        ("Mixed_7c.branch3x3dbl_3a.conv.weight", &[384, 384, 1, 3]),
        ("Mixed_7c.branch3x3dbl_3b.bn.running_var", &[384]),
        ("fc.weight", &[1008, 2048]),
        ("fc.bias", &[1008]),
    ] {
        assert_eq!(shapes.get(name).map(Vec::as_slice), Some(shape), "{name}");
    }
}

/// torchvision's file has the same keys, but a thousand classes.
#[test]
fn another_inception_is_refused() {
    let mut shapes = inception();
    shapes.retain(|name, _| !name.ends_with("num_batches_tracked"));
    shapes.insert("fc.weight".to_string(), vec![1000, 2048]);
    shapes.insert("fc.bias".to_string(), vec![1000]);
    let error = InceptionV3::from_state(&drawn(shapes), &Device::Cpu, DType::F32).unwrap_err().to_string();
    assert!(error.contains("fc.weight") && error.contains("1008"), "{error}");
}

#[test]
fn the_first_tensor_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inception.pth");
    let load = |path: &Path| InceptionV3::load(path, &Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(load(&path), Error::NoWeights { .. }));
    let mut shapes = inception();
    shapes.retain(|name, _| name.starts_with("Conv2d_1a") || name.starts_with("Mixed_5b"));
    pth::write(&path, &drawn(shapes)).unwrap();
    let error = load(&path);
    let said = error.to_string();
    assert!(matches!(error, Error::OtherNetwork { .. }), "{said}");
    for part in ["inception.pth", "Inception V3", "Conv2d_2a_3x3.conv.weight"] {
        assert!(said.contains(part), "{said} does not name {part}");
    }
    std::fs::write(&path, "no weights").unwrap();
    assert!(matches!(load(&path), Error::Weights(_)));
}

/// Trunk and heads for SqueezeNet, the smallest of the three, in files.
struct Files {
    folder: tempfile::TempDir,
    trunk: StateDict,
    heads: StateDict,
}

impl Files {
    fn new() -> Self {
        let shapes = asked_for(|builder| Lpips::build(LpipsNet::Squeeze, builder(), builder(), &Device::Cpu));
        let (heads, trunk): (Shapes, Shapes) = shapes.into_iter().partition(|(name, _)| name.starts_with("lin"));
        Files { folder: tempfile::tempdir().unwrap(), trunk: drawn(trunk), heads: drawn(heads) }
    }

    fn load(&self) -> gan_metrics::Result<Lpips> {
        let path = |name: &str| self.folder.path().join(name);
        // torchvision's file holds the classifier as well.
        let mut trunk = self.trunk.clone();
        trunk.push("classifier.1.weight", ones(&[10, 512, 1, 1]));
        pth::write(path("trunk.pth"), &trunk).unwrap();
        pth::write(path("heads.pth"), &self.heads).unwrap();
        Lpips::load(LpipsNet::Squeeze, &path("trunk.pth"), &path("heads.pth"), &Device::Cpu, DType::F32)
    }

    fn refused(&self) -> String {
        let error = self.load().unwrap_err();
        assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
        error.to_string()
    }
}

#[test]
fn lpips_is_read_from_two_files_and_is_a_distance() {
    let lpips = Files::new().load().unwrap();
    let (a, b) = (images(1), images(2));
    let there = lpips.distance(&a, &b).unwrap();
    assert_eq!(lpips.distance(&a, &a).unwrap(), [0.0, 0.0]);
    assert_eq!(lpips.distance(&b, &a).unwrap(), there);
    assert!(there.iter().all(|d| *d > 1e-4), "{there:?}");
    let layers = lpips.layers(&a, &b).unwrap();
    assert_eq!((layers.len(), layers[0].len()), (2, 7));
    assert_eq!(layers.iter().map(|l| l.iter().sum::<f64>()).collect::<Vec<_>>(), there);
    // Each pair is one of its own.
    let second = |t: &Tensor| t.narrow(0, 1, 1).unwrap();
    let alone = lpips.distance(&second(&a), &second(&b)).unwrap();
    assert!((alone[0] - there[1]).abs() < 1e-5 * there[1], "{alone:?} {there:?}");
    // The order of the channels matters.
    let turned = |t: &Tensor| t.index_select(&Tensor::new(&[2u32, 1, 0], &Device::Cpu).unwrap(), 1).unwrap();
    let other = lpips.distance(&turned(&a), &turned(&b)).unwrap();
    assert!(other.iter().zip(&there).all(|(x, y)| (x - y).abs() > 1e-3 * y), "{other:?} {there:?}");
    let small = a.narrow(2, 0, 20).unwrap();
    assert!(lpips.distance(&a, &small).unwrap_err().to_string().contains("[2, 3, 20, 52]"));
}

#[test]
fn what_is_no_lpips_is_refused_by_its_first_missing_tensor() {
    let mut files = Files::new();
    files.heads.retain(|name, _| name != "lin1.model.1.weight");
    let said = files.refused();
    assert!(said.contains("heads.pth") && said.contains("lin1.model.1.weight"), "{said}");
    files.heads.push("lin1.model.1.weight", ones(&[1, 192, 1, 1]));
    assert!(files.refused().contains("lin1.model.1.weight"));
    let mut files = Files::new();
    files.trunk.retain(|name, _| name != "features.4.expand3x3.bias");
    let said = files.refused();
    assert!(said.contains("trunk.pth") && said.contains("features.4.expand3x3.bias"), "{said}");
    let mut files = Files::new();
    files.heads.push("lin0.model.1.weight", ones(&[1, 64, 1, 1]).affine(f64::NAN, 0.0).unwrap());
    let said = files.load().unwrap_err().to_string();
    assert!(said.contains("lin0.model.1.weight holds NaN"), "{said}");
}

#[test]
fn a_file_is_known_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc");
    std::fs::write(&path, "abc").unwrap();
    let whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for sha256 in [whole, "ba7816bf"] {
        let digest = verify(&path, &KnownFile { name: "abc.pth", sha256 }, OtherFiles::Refuse).unwrap();
        assert_eq!(digest.to_string(), whole);
    }
    let error = verify(&path, &INCEPTION, OtherFiles::Refuse).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, Error::OtherFile { .. }), "{said}");
    for part in [whole, "6726825d…", "pt_inception-2015-12-05-6726825d.pth"] {
        assert!(said.contains(part), "{said} does not name {part}");
    }
    assert_eq!(verify(&path, &INCEPTION, OtherFiles::Accept).unwrap().to_string(), whole);
    assert!(matches!(verify(&folder.path().join("none"), &INCEPTION, OtherFiles::Accept), Err(Error::Io { .. })));
    for net in LpipsNet::ALL {
        // A name ends in what is known of the hash.
        assert!(net.trunk().name.ends_with(&format!("-{}.pth", net.trunk().sha256)) && net.heads().sha256.len() == 64);
    }
}
