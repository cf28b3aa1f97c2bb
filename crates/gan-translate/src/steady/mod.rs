//! Frames of a video, translated so that what stays the same looks the same.
//!
//! With constant statistics ([`Model::use_statistics`]) a network still computes on a lattice: a generator with stride 4 makes something else of
//! an image that is moved by one pixel. [`Steadier`] lets the lattice move with the scene, and averages over time along the motion what is left.

mod cuts;
mod filter;
mod motion;
mod plane;

pub use cuts::CutDetector;

use crate::reader::Input;
use crate::{Error, Model, Result};
use candle_core::{DType, Device, Tensor};
use filter::History;
use gan_data::Image;
use gan_weights::{StateDict, read_any, safetensors};
use motion::Motion;
use plane::{Plane, luma, planes};
use std::path::Path;

/// What a [`Steadier`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SteadyOptions {
    /// Whether the network's lattice moves with the scene.
    pub lattice: bool,
    /// Over how many positions of the lattice each frame is averaged (cycle spinning): 1, 2, 4 or 16. Takes so many times as long.
    pub spin: usize,
    /// Whether results are averaged over time along the motion.
    pub filter: bool,
}

impl Default for SteadyOptions {
    fn default() -> Self {
        SteadyOptions { lattice: true, spin: 1, filter: true }
    }
}

/// Translates the frames of a video one after the other.
///
/// ```no_run
/// use gan_translate::{Files, Model, Steadier, SteadyOptions};
/// use std::path::{Path, PathBuf};
///
/// # fn main() -> gan_translate::Result<()> {
/// let mut model = Model::open("runs/photos")?;
/// let frames: Vec<PathBuf> = (0..100).map(|i| format!("frames/{i:03}.png").into()).collect();
/// let read = |path: &Path| model.read(&Files::new(path));
/// let statistics = model.statistics_of(frames.iter().step_by(20).map(|path| read(path)))?;
/// model.use_statistics(Some(&statistics))?;
/// let mut steadier = Steadier::new(SteadyOptions::default());
/// for path in &frames {
///     let image = steadier.translate(&model, model.read(&Files::new(path))?)?;
///     gan_data::write_image(&Path::new("out").join(path.file_name().unwrap_or_default()), &image)?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Steadier {
    options: SteadyOptions,
    /// The sum of the displacements from each frame to the one before, across and down, in pixels.
    moved: (f64, f64),
    history: Option<(History, Plane)>,
}

impl Steadier {
    /// Before the first frame.
    pub fn new(options: SteadyOptions) -> Self {
        Steadier { options, moved: (0.0, 0.0), history: None }
    }

    /// Forgets the frames so far: another scene begins.
    pub fn reset(&mut self) {
        self.history = None;
    }

    /// The image for the next frame.
    ///
    /// # Errors
    /// As [`Model::translate_input`].
    pub fn translate(&mut self, model: &Model, input: Input) -> Result<Image> {
        if self.options == (SteadyOptions { lattice: false, spin: 1, filter: false }) {
            return model.translate_input(input);
        }
        let channels = planes(&input.batch.a)?;
        let grey = luma(&channels);
        let same_size = |before: &Plane| (before.width, before.height) == (grey.width, grey.height);
        self.history =
            self.history.take().filter(|(history, before)| same_size(before) && history.input.len() == channels.len());
        let motion = self.history.as_ref().map(|(_, before)| Motion::between(&grey, before));
        if let Some(motion) = &motion {
            self.moved.0 += f64::from(motion.camera.tx);
            self.moved.1 += f64::from(motion.camera.ty);
        }
        let y = self.computed(model, &input)?;
        let (_, _, height, width) = y.dims4()?;
        let output = y.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        // A transform of sizes makes results of other sizes than the inputs.
        let filters = self.options.filter && (width, height) == (grey.width, grey.height);
        let history = match (&self.history, &motion) {
            (Some((history, before)), Some(motion)) if filters && history.output.len() == output.len() => {
                history.filtered(&motion.sources(&grey, before), channels, output)
            }
            _ => History::new(channels, output),
        };
        let filtered = Tensor::from_slice(&history.output, y.shape(), &Device::Cpu)?;
        self.history = Some((history, grey));
        model.image(&filtered, input)
    }

    /// What the network makes of a frame, `[1, C, H, W]`.
    fn computed(&self, model: &Model, input: &Input) -> Result<Tensor> {
        let (_, _, height, width) = input.batch.a.dims4()?;
        let Some(lattice) = model.lattice(height, width) else { return model.output(&input.batch) };
        let offset = |moved: f64, by: usize| {
            let moved = if self.options.lattice { moved.round() as i64 } else { 0 };
            (moved + by as i64).rem_euclid(lattice.period as i64) as usize
        };
        let mut sum: Option<Tensor> = None;
        let steps = spins(self.options.spin, lattice.period);
        for &(down, right) in &steps {
            let at = (offset(self.moved.1, down), offset(self.moved.0, right));
            let y = model.output_within(&input.batch, at, lattice.size)?;
            sum = Some(match sum {
                Some(sum) => (sum + y)?,
                None => y,
            });
        }
        match sum {
            Some(sum) if steps.len() > 1 => Ok((sum / steps.len() as f64)?),
            Some(sum) => Ok(sum),
            None => model.output(&input.batch),
        }
    }

    /// Writes what has to be known of the frames so far, to go on later.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut state = StateDict::new();
        state.push("moved", Tensor::new(&[self.moved.0, self.moved.1], &Device::Cpu)?);
        if let Some((history, _)) = &self.history {
            let Plane { width, height, .. } = history.input[0];
            let levels: Vec<f32> = history.input.iter().flat_map(|plane| plane.levels.iter().copied()).collect();
            let shaped = |values: Vec<f32>| {
                let channels = values.len() / (width * height).max(1);
                Tensor::from_vec(values, (channels, height, width), &Device::Cpu)
            };
            state.push("input", shaped(levels)?);
            state.push("age", shaped(history.age.clone())?);
            // The result may have another size.
            state.push("output", Tensor::new(&history.output[..], &Device::Cpu)?);
        }
        Ok(safetensors::write(path, &state)?)
    }

    /// Goes on after the frames whose state was [saved](Steadier::save).
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read, [`Error::Shape`] if it holds something else.
    pub fn load(options: SteadyOptions, path: &Path) -> Result<Self> {
        let state = read_any(path)?.state;
        let odd = || Error::Shape { what: "the state of a video", got: Vec::new(), expected: "[C, H, W]".into() };
        let moved = state.get("moved").ok_or_else(odd)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let &[x, y] = &moved[..] else { return Err(odd()) };
        let mut steadier = Steadier { moved: (x, y), ..Steadier::new(options) };
        let (Some(input), Some(age), Some(output)) = (state.get("input"), state.get("age"), state.get("output")) else {
            return Ok(steadier);
        };
        let (channels, height, width) = input.dims3()?;
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        if channels * height * width == 0 || age.elem_count() != height * width {
            return Err(odd());
        }
        let input: Vec<Plane> = values(input)?
            .chunks_exact(height * width)
            .map(|levels| Plane { width, height, levels: levels.to_vec() })
            .collect();
        let grey = luma(&input);
        steadier.history = Some((History { input, output: values(output)?, age: values(age)? }, grey));
        Ok(steadier)
    }
}

/// Positions on a lattice of this period, over which it is averaged: as many as are asked for, as far as there are so many.
fn spins(count: usize, period: usize) -> Vec<(usize, usize)> {
    let step = |of: usize| (period / of.min(period)).max(1);
    match count {
        ..=1 => vec![(0, 0)],
        // Each row and each column once.
        2..=4 => {
            let of = count.min(period);
            let order = [0, 2, 1, 3];
            (0..of).map(|i| (i * step(of), if of == 4 { order[i] * step(4) } else { i * step(of) })).collect()
        }
        _ => {
            let of = 4.min(period);
            (0..of * of).map(|i| (i / of * step(of), i % of * step(of))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_take_each_row_and_column_once() {
        assert_eq!(spins(1, 4), [(0, 0)]);
        assert_eq!(spins(2, 4), [(0, 0), (2, 2)]);
        assert_eq!(spins(4, 4), [(0, 0), (1, 2), (2, 1), (3, 3)]);
        assert_eq!(spins(4, 16), [(0, 0), (4, 8), (8, 4), (12, 12)]);
        assert_eq!(spins(16, 4).len(), 16);
        assert_eq!(spins(16, 2), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }
}
