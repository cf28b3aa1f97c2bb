//! `gan-cli export web`.

mod runtime;

use super::folder::{Direction, name, refuse_existing};
use super::onnx::PrecisionArg;
use super::said;
use super::source::SourceArgs;
use crate::exit::{BAD_MODEL, Coded, Done};
use crate::inputs::Inputs;
use crate::shell::quoted;
use crate::wording::worded;
use anyhow::bail;
use gan_export::{OnnxModel, OnnxOptions, Subject, WEB_MODEL, write_web_folder};
use gan_fetch::human::bytes;
use gan_web::{ModelFacts, Standalone};
use runtime::{BackendArg, Runtime};
use std::path::PathBuf;

/// Write a folder with a page that translates in the browser, for any static host
///
/// The page takes an image, frames of a camera or, for models of drawings and labels, a drawing, and translates it on the visitor's device: by
/// WebGPU where the browser has it, else by WebAssembly. Nothing is sent anywhere. It loads no address but those of the folder, and
/// any host of files serves it: `python3 -m http.server` in the folder shows it at http://localhost:8000.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Folder to write; it must not exist
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// The package of ONNX Runtime Web: the .tgz that `npm pack onnxruntime-web@1.30.0` fetches, or the folder of an installed one
    #[arg(long, value_name = "PACKAGE")]
    runtime: Option<PathBuf>,
    /// What runs the model
    #[arg(long, value_enum, default_value_t = BackendArg::Auto)]
    backend: BackendArg,
    /// Element type of weights and values; with f16 WebAssembly takes about twice the time
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
    /// Direction, for models of CycleGAN: a page translates one way
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Name of the model on the page; the default is that of MODEL
    #[arg(long)]
    name: Option<String>,
    /// Batch norms use their running statistics (PyTorch's eval()), not those of the image
    #[arg(long)]
    eval: bool,
    /// Under which terms the weights may be used, for the metadata of the model file
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<Done> {
    let mut inputs = Inputs::default();
    inputs.model(&args.source.model);
    if let Some(package) = &args.runtime {
        if package.is_dir() { inputs.folder(package) } else { inputs.file(package) }
    }
    inputs.refuse([&*args.out])?;
    refuse_existing(&args.out)?;
    write(&args, || runtime::read(args.runtime.as_deref(), args.backend))
}

fn write(args: &Args, runtime: impl FnOnce() -> anyhow::Result<Runtime>) -> anyhow::Result<Done> {
    let trained = args.source.open()?;
    let shown = args.source.model.display();
    let direction = args.direction.map(gan_translate::Direction::from);
    let generator = trained.config().generator(direction).ok_or_else(|| {
        let trained = trained.config().generators[0].direction;
        worded(gan_translate::Error::NoDirection { trained, wanted: direction.unwrap_or(trained) })
    })?;
    if trained.config().encoder.is_some() {
        let reason = "it was trained with instance features, and the page has no styles; `gan-cli serve` has them";
        bail!(Coded(BAD_MODEL, format!("{shown} cannot become a page: {reason}")));
    }
    let facts = ModelFacts::of(&trained, &args.source.model, generator);
    if let Some(reason) = Standalone::refusal(&facts) {
        bail!(Coded(
            BAD_MODEL,
            format!("{shown} cannot become a page: {reason}; `gan-cli export onnx` writes the model")
        ));
    }
    let subject = Subject::of_model(&trained, Some(&generator.network)).map_err(said)?;
    let options = OnnxOptions {
        dynamic: true,
        preprocessing: true,
        precision: args.precision.into(),
        running_statistics: args.eval,
        licence: args.licence.clone(),
        ..OnnxOptions::default()
    };
    let model = OnnxModel::new(&subject, &options).map_err(said)?;
    let model_bytes = model.bytes().map_err(said)?;
    let runtime = runtime()?;
    let sizes = runtime.files.iter().map(|(name, content)| ((*name).to_owned(), content.len() as u64));
    let page = Standalone {
        model: ModelFacts { name: args.name.clone().unwrap_or_else(|| name(&args.source.model)), ..facts },
        size_multiple: subject.size_multiple(),
        smallest_side: subject.smallest_side(),
        runtime: runtime.name,
        backends: runtime.backends,
        files: sizes.chain([(WEB_MODEL.to_owned(), model_bytes)]).collect(),
    };
    let own = page.files();
    let own = own.iter().map(|(name, text)| (*name, text.as_bytes()));
    let files: Vec<(&str, &[u8])> = own.chain(runtime.files.iter().map(|(name, bytes)| (*name, &**bytes))).collect();
    write_web_folder(&args.out, &model, &files).map_err(said)?;

    let whole = model_bytes + files.iter().map(|(_, content)| content.len() as u64).sum::<u64>();
    let out = args.out.display();
    out!("{out}: {} files, {}; the model {}, {}", files.len() + 1, bytes(whole), bytes(model_bytes), page.runtime);
    for backend in &page.backends {
        let loaded = [backend.script, backend.binary, WEB_MODEL].iter().filter_map(|name| page.files.get(*name)).sum();
        out!("  a browser loads {} for {}", bytes(loaded), backend.name);
    }
    let folder = quoted(&args.out);
    out!("  look at it: python3 -m http.server --directory {folder} shows it at http://localhost:8000");
    Ok(Done::Complete)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;
    use gan_web::Backend;
    use serde_json::Value;
    use std::fs;
    use std::path::Path;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// Writes a page with another runtime: that of npm is not at hand in tests.
    fn written(model: &str, out: &Path, more: &[&str]) -> anyhow::Result<Done> {
        let model = format!("{}/tests/fixtures/interchange/{model}", env!("CARGO_MANIFEST_DIR"));
        let words = [&["web", &model, out.to_str().unwrap()], more].concat();
        let backend = Backend { name: "wasm", script: "runtime/wasm.js", binary: "runtime/wasm.wasm" };
        let files = vec![("runtime/wasm.js", vec![1; 5]), ("runtime/wasm.wasm", vec![2; 7])];
        let runtime = Runtime { name: "Runtime 1".into(), backends: vec![backend], files };
        write(&Line::parse_from(words).args, || Ok(runtime))
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true => names.extend(files(&path).iter().map(|inner| format!("{name}/{inner}"))),
                false => names.push(name),
            }
        }
        names.sort();
        names
    }

    #[test]
    fn a_folder_has_the_page_the_model_and_the_runtime() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/site");
        written("unet.pth", &out, &["--name", "drawn <houses>", "--licence", "mit"]).unwrap();
        let expected = [
            "description.json",
            "index.html",
            "model.onnx",
            "page.css",
            "page.js",
            "runtime/wasm.js",
            "runtime/wasm.wasm",
            "worker.js",
        ];
        assert_eq!(files(&out), expected);
        let described: Value = serde_json::from_slice(&fs::read(out.join("description.json")).unwrap()).unwrap();
        assert_eq!(described["model"]["name"], "drawn <houses>");
        assert_eq!(described["model"]["input"], serde_json::json!({"kind": "image", "channels": 3}));
        assert_eq!((&described["size_multiple"], &described["smallest_side"]), (&32.into(), &32.into()));
        assert_eq!(described["backends"][0]["binary"], "runtime/wasm.wasm");
        for (name, bytes) in described["files"].as_object().unwrap() {
            assert_eq!(fs::metadata(out.join(name)).unwrap().len(), bytes.as_u64().unwrap(), "{name}");
        }
        let model = fs::read(out.join("model.onnx")).unwrap();
        let has = |text: &str| model.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("image") && has("batch") && has("mit"), "open sizes, 8 bits in and out");
        let page = fs::read_to_string(out.join("index.html")).unwrap();
        assert!(page.contains("Content-Security-Policy") && page.contains("way-camera"));
        let worker = fs::read_to_string(out.join("worker.js")).unwrap();
        assert!(!page.contains("://") && !worker.contains("://"), "no address but those of the folder");
        let before = files(dir.path());
        let error = written("unet.pth", &out, &[]).err().unwrap();
        assert!(error.to_string().contains("exists"), "{error}");
        assert_eq!(files(dir.path()), before);
    }

    #[test]
    fn label_maps_have_their_palette_and_no_camera() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("site");
        fs::create_dir(&out).unwrap();
        written("global.pth", &out, &["--arch", "global", "--label-nc", "4"]).unwrap();
        let described: Value = serde_json::from_slice(&fs::read(out.join("description.json")).unwrap()).unwrap();
        let draw = &described["model"]["draw"];
        assert_eq!((draw["tool"].as_str(), draw["palette"].as_array().unwrap().len()), (Some("labels"), 4));
        assert!(!fs::read_to_string(out.join("page.js")).unwrap().contains("getUserMedia"));
        assert!(!fs::read_to_string(out.join("index.html")).unwrap().contains("camera"));
    }

    #[test]
    fn what_no_page_runs_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let error = written("unet.pth", &dir.path().join("site"), &["--direction", "b2a"]).err().unwrap();
        assert!(error.to_string().contains("one way"), "{error}");
        assert_eq!(files(dir.path()), [""; 0]);
    }
}
