//! Running an exported file with ONNX Runtime, beside the network itself.

use crate::check::{Array, Case, Values, cases, limit};
use crate::onnx::OnnxOptions;
use crate::subject::Subject;
use crate::{Error, Result};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};
use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, Instant};

/// What ONNX Runtime made of a file.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Its name and version.
    pub runtime: String,
    /// The largest difference of each input, as a part of the range of values.
    pub errors: Vec<(String, f64)>,
    /// The largest that is allowed.
    pub limit: f64,
    /// The shortest time that it took for one input of the file's own size.
    pub time: Duration,
}

impl Verified {
    /// The largest difference of all.
    pub fn largest(&self) -> f64 {
        self.errors.iter().map(|(_, error)| *error).fold(0.0, f64::max)
    }
}

fn said(error: impl std::fmt::Display) -> Error {
    Error::Runtime { reason: error.to_string() }
}

/// Runs the file that was written of `subject` with the library at `runtime` (`libonnxruntime.so`, `onnxruntime.dll`, `libonnxruntime.dylib`) on several inputs,
/// and compares with the network.
///
/// # Errors
/// [`Error::Runtime`] if the library cannot be loaded or refuses the file, [`Error::Differs`] if an output is too far from the network's.
pub fn verify(file: &Path, subject: &Subject, options: &OnnxOptions, runtime: &Path) -> Result<Verified> {
    // A path that is not absolute would be looked for beside the program.
    let library = std::path::absolute(runtime).unwrap_or_else(|_| runtime.to_owned());
    if !library.is_file() {
        return Err(Error::Runtime { reason: format!("there is no library {}", runtime.display()) });
    }
    ort::init_from(&library).map_err(said)?.commit();
    let mut session = session(file)?;
    let (mut errors, limit) = (Vec::new(), limit(options));
    let mut time = Duration::MAX;
    for (i, case) in cases(subject, options)?.into_iter().enumerate() {
        let start = Instant::now();
        let outputs = run(&mut session, &case)?;
        if i < 3 {
            time = time.min(start.elapsed());
        }
        let error = case.error(&outputs);
        if error > limit {
            return Err(Error::Differs { case: case.name, error, limit });
        }
        errors.push((case.name, error));
    }
    Ok(Verified { runtime: version(&library), errors, limit, time })
}

fn session(file: &Path) -> Result<Session> {
    let mut builder = Session::builder().map_err(said)?.with_log_level(ort::logging::LogLevel::Error).map_err(said)?;
    builder.commit_from_file(file).map_err(said)
}

fn run(session: &mut Session, case: &Case) -> Result<Vec<Array>> {
    let inputs = case.inputs.iter().map(|(name, array)| {
        let value = value(array)?;
        Ok((Cow::from(name.as_str()), SessionInputValue::from(value)))
    });
    let inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = inputs.collect::<Result<_>>()?;
    let outputs = session.run(inputs).map_err(said)?;
    outputs.values().map(|value| array(&value)).collect()
}

fn value(array: &Array) -> Result<DynValue> {
    let dims = array.dims.clone();
    Ok(match &array.values {
        Values::F32(values) => Tensor::from_array((dims, values.clone())).map_err(said)?.into_dyn(),
        Values::I32(values) => Tensor::from_array((dims, values.clone())).map_err(said)?.into_dyn(),
        Values::U8(values) => Tensor::from_array((dims, values.clone())).map_err(said)?.into_dyn(),
    })
}

fn array(value: &DynValue) -> Result<Array> {
    let dims = |shape: &ort::value::Shape| shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
        return Ok(Array { dims: dims(shape), values: Values::F32(values.to_vec()) });
    }
    let (shape, values) = value.try_extract_tensor::<u8>().map_err(said)?;
    Ok(Array { dims: dims(shape), values: Values::U8(values.to_vec()) })
}

/// Name and version: what the library says of its branch, or the end of its file's name (`libonnxruntime.so.1.20.0`).
fn version(library: &Path) -> String {
    const NAME: &str = "ONNX Runtime";
    let branch = ort::info().split("git-branch=rel-").nth(1).and_then(|rest| rest.split(',').next());
    let file = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match branch.or_else(|| name.split_once(".so.").map(|(_, version)| version)) {
        Some(version) => format!("{NAME} {version}"),
        None => NAME.to_owned(),
    }
}
