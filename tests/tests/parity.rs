//! Parity with PyTorch: every case file of a folder is rebuilt from its own metadata and compared.
//!
//! `GAN_PARITY_DIR` names another folder than the committed fixtures (`tests/fixtures/parity`, written by
//! `tests/oracle/make_goldens.py`, `make_metrics.py` and `make_metric_networks.py`). Cases run in F64 and in F32, with each
//! convolution algorithm and each instruction set forced; a case of an unknown kind fails. `GAN_TEST_DEVICE` names the device that computes (the CPU without it).

#![allow(clippy::print_stdout)] // the largest error of each case is worth reading

#[path = "parity/augmentation.rs"]
mod augmentation;
#[path = "parity/case.rs"]
mod case;
#[path = "parity/compare.rs"]
mod compare;
#[path = "parity/contrastive.rs"]
mod contrastive;
#[path = "parity/image_metrics.rs"]
mod image_metrics;
#[path = "parity/metrics.rs"]
mod metrics;
#[path = "parity/networks.rs"]
mod networks;
#[path = "parity/others.rs"]
mod others;
#[path = "parity/penalties.rs"]
mod penalties;
#[path = "parity/trajectories.rs"]
mod trajectories;

use candle_core::DType;
use case::Case;
use compare::Report;
use gan_kernels::dispatch::{ConvAlgorithm, InstructionSet, force, force_instructions};
use std::path::PathBuf;

fn folder() -> PathBuf {
    match std::env::var_os("GAN_PARITY_DIR") {
        Some(dir) => dir.into(),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/parity")),
    }
}

fn run(case: &Case, dtype: DType) -> Report {
    match case.text("kind") {
        "network" => networks::run(case, dtype),
        "trajectory" => trajectories::run(case, dtype),
        "perceptual" => others::perceptual(case, dtype),
        "diffaugment" => augmentation::run(case, dtype),
        "conditioning" => others::conditioning(case, dtype),
        "gan_losses" => others::gan_losses(case, dtype),
        "inception" => {
            let mut report = metrics::inception(case, dtype);
            image_metrics::network_inputs(case, dtype, &mut report);
            report
        }
        "lpips" => metrics::lpips(case, dtype),
        "image_metrics" => image_metrics::pairs(case),
        "feature_metrics" => image_metrics::sets(case),
        "network_inputs" => {
            let mut report = Report::new(dtype);
            image_metrics::network_inputs(case, dtype, &mut report);
            report
        }
        "gradient_penalty" => penalties::run(case, dtype),
        "patch_sample" => contrastive::patch_sample(case, dtype),
        "patch_nce" => contrastive::patch_nce(case, dtype),
        kind => panic!("{}: unknown kind of case `{kind}`", case.name),
    }
}

/// Whether the choices among the CPU's kernels mean anything.
fn on_cpu() -> bool {
    case::device().is_cpu()
}

fn check_all(dtype: DType, kernels: &str) {
    check("", dtype, kernels);
}

/// Checks the cases of one kind (of every kind, if it is empty).
fn check(kind: &str, dtype: DType, kernels: &str) {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap_or_else(|e| panic!("{}: {e}", folder().display()))
        .map(|entry| entry.expect("folder entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder().display());
    let mut failures = Vec::new();
    for file in &files {
        let case = Case::read(file);
        if !kind.is_empty() && case.text("kind") != kind {
            continue;
        }
        let mut report = run(&case, dtype);
        if kernels != "chosen" || !on_cpu() {
            report.allow_long_sums();
        }
        println!("{dtype:?} {kernels:12} {:28} {}", case.name, report.summary());
        failures.extend(report.failures(&case.name));
    }
    assert!(failures.is_empty(), "{} failures with {kernels} kernels:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn parity_f64() {
    check_all(DType::F64, "portable");
}

#[test]
fn parity_f32() {
    check_all(DType::F32, "chosen");
}

/// Activations in BF16, which CUDA devices have.
#[test]
fn parity_bf16() {
    if !on_cpu() {
        check("network", DType::BF16, "bf16");
    }
}

/// The cases are a few channels wide: left to choose, they would never reach the kernels made for many.
#[test]
fn parity_f32_with_every_conv_algorithm() {
    for algorithm in
        [ConvAlgorithm::Portable, ConvAlgorithm::ImplicitGemm, ConvAlgorithm::Im2col, ConvAlgorithm::Winograd]
            .into_iter()
            .filter(|_| on_cpu())
    {
        let _forced = force(algorithm);
        check_all(DType::F32, &format!("{algorithm:?}").to_lowercase());
    }
}

#[test]
fn parity_f32_with_every_instruction_set() {
    for set in [InstructionSet::Portable, InstructionSet::Avx2].into_iter().filter(|_| on_cpu()) {
        let _forced = force_instructions(set);
        check_all(DType::F32, &format!("{set:?}").to_lowercase());
    }
}

/// Once more in a process whose working memory holds NaN until it is written.
#[test]
fn parity_f32_whatever_memory_held() {
    if on_cpu() {
        let mut again = std::process::Command::new(std::env::current_exe().expect("this program"));
        let names = ["parity_f32", "parity_f32_with_every_conv_algorithm", "--exact"];
        let ran = again.args(names).env("GAN_KERNELS", "poison").output().expect("a second process");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("2 passed"), "{said}");
    }
}
