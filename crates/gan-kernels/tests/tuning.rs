//! Algorithms that are measured on this machine, each time in a process of its own: the choice is made once for a process.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
mod reference;
use candle_core::DType;
use gan_kernels::act::Act;
use gan_kernels::bands::{BandedConv, Window};
use gan_kernels::conv::{Conv2d, ConvGrads, WeightGrad, conv2d, conv2d_backward};
use gan_kernels::dispatch::{ConvAlgorithm, force};
use gan_kernels::grad::GradState;
use gan_kernels::tuning::{self, Weights};
use gan_kernels::weight::Weight;
use reference::{normal, values};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Names the file of choices to a process that this test starts.
const FILE: &str = "GAN_TEST_TUNING";
const NAME: &str = "the_file_says_what_is_computed";

/// ci, co, side, kernel, stride: small ones, the last of which is nothing for Winograd convolution.
const CASES: [(usize, usize, usize, usize, usize); 4] =
    [(64, 64, 12, 3, 1), (64, 96, 20, 4, 2), (33, 40, 14, 3, 1), (3, 8, 16, 7, 1)];

/// All results of all cases, written out.
fn results() -> String {
    let noise = |shape: [usize; 4], seed| normal(&shape[..], seed).to_dtype(DType::F32).unwrap();
    let mut bits = Vec::new();
    for (ci, co, side, kernel, stride) in CASES {
        let spec = Conv2d { stride, padding: [1; 2], ..Conv2d::default() };
        let (x, w) = (noise([1, ci, side, side], 1), noise([co, ci, kernel, kernel], 2));
        let weight = Weight::constant(w.clone());
        let y = conv2d(&x, &weight, None, &spec).unwrap();
        let (into, state) = (w.zeros_like().unwrap(), GradState::unknown());
        let grads = ConvGrads {
            input: Some((side, side)),
            weight: Some(WeightGrad { x: &x, into: &into, state: Some(&state) }),
            ..Default::default()
        };
        let dx = conv2d_backward(&y, &weight, &spec, grads).unwrap().unwrap();
        let banded = BandedConv::conv2d([ci, side, side], &w, &spec).unwrap();
        let rows = 0..banded.bands().ceil(1);
        let read = banded.reads(&rows);
        let window = Window { rows: &x.narrow(2, read.start, read.len()).unwrap(), first: read.start };
        let top = banded.forward(&window, &weight, None, Act::Identity, &rows).unwrap();
        assert_eq!(values(&top), values(&y.narrow(2, 0, rows.end).unwrap()), "bands have the bits of the whole");
        for t in [y, dx, into] {
            bits.extend(values(&t).into_iter().map(|x| (x as f32).to_bits()));
        }
    }
    // FNV-1a: equal for equal bits, and short enough to print.
    let hash = bits.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    format!("results {hash:016x} of {}", bits.len())
}

/// What a process says that uses the choices of `file`.
fn with(file: &Path) -> String {
    let mut again = Command::new(env::current_exe().unwrap());
    let ran = again.args([NAME, "--exact", "--nocapture"]).env(FILE, file).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said.lines().find_map(|line| line.find("results ").map(|at| line[at..].to_owned())).unwrap()
}

#[test]
fn the_file_says_what_is_computed() {
    if let Some(file) = env::var_os(FILE) {
        let known = fs::read_to_string(&file).unwrap_or_default();
        let new = fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
        tuning::start(&known, new, Weights::Change);
        println!("{}", results());
        return;
    }
    if !reference::device().is_cpu() {
        return;
    }
    let file = env::temp_dir().join(format!("gan-kernels-choices-{}", std::process::id()));
    let measured = with(&file);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3 * CASES.len(), "{text}");
    assert_eq!(with(&file), measured, "the same file, the same bits");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "nothing is measured twice");
    for (name, algorithm) in [
        ("gemm", ConvAlgorithm::ImplicitGemm),
        ("winograd", ConvAlgorithm::Winograd),
        ("stream", ConvAlgorithm::Im2col),
    ] {
        let named = text.lines().map(|line| format!("{} = {name}\n", line.split_once(" = ").unwrap().0));
        fs::write(&file, named.collect::<String>()).unwrap();
        let _guard = force(algorithm);
        assert_eq!(with(&file), results(), "{name}");
    }
    fs::remove_file(&file).unwrap();
}
