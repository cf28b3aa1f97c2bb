//! Inputs for an exported file, what the network itself makes of them, and how far another result is from that.

use crate::onnx::{Inputs, OnnxOptions, Precision};
use crate::subject::{Built, Subject};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use gan_data::{Batch, Depth, Image, Quantize, image_from_lab, image_from_tensor, lab_tensors};
use gan_rng::{Key, Purpose};
use gan_translate::Condition;

/// The largest difference that is allowed, as a part of the range of values.
const LIMIT_F32: f64 = 1e-4;
/// The same for 16 bits.
const LIMIT_F16: f64 = 2e-2;
/// One level of 255: where a value lies between two levels, the last bit decides.
const ONE_LEVEL: f64 = 1.0 / 255.0;

/// A tensor as a runtime takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers.
    F32(Vec<f32>),
    /// Ids.
    I32(Vec<i32>),
    /// Levels.
    U8(Vec<u8>),
}

/// A tensor with its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its elements, row by row.
    pub values: Values,
}

/// An input of a file, and what the network makes of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is, for messages.
    pub name: String,
    /// Inputs by name.
    pub inputs: Vec<(String, Array)>,
    /// Outputs in order.
    pub outputs: Vec<Array>,
    /// The span of values of an output; `None`: that of the values themselves.
    range: Option<f64>,
}

/// What a file is tried with.
#[derive(Debug, Clone, Copy)]
struct Request {
    name: &'static str,
    batch: usize,
    size: (usize, usize),
    pattern: Pattern,
}

#[derive(Debug, Clone, Copy)]
enum Pattern {
    /// Every pixel by itself.
    Noise,
    /// Waves of several lengths.
    Waves,
    /// Blocks of one value each.
    Blocks,
}

/// The largest difference that a file of these options may show.
pub fn limit(options: &OnnxOptions) -> f64 {
    let limit = if options.precision == Precision::F16 { LIMIT_F16 } else { LIMIT_F32 };
    if options.preprocessing { f64::max(limit, ONE_LEVEL) } else { limit }
}

/// Inputs for a file with these options, and what the network makes of each: noise, waves and blocks, and where sizes are open another size and
/// several images at once.
///
/// # Errors
/// The network cannot be built or does not take the size.
pub fn cases(subject: &Subject, options: &OnnxOptions) -> Result<Vec<Case>> {
    let built = subject.build()?;
    let (h, w) = subject.size(options.size);
    let mut requests = vec![
        Request { name: "noise", batch: 1, size: (h, w), pattern: Pattern::Noise },
        Request { name: "waves", batch: 1, size: (h, w), pattern: Pattern::Waves },
        Request { name: "blocks", batch: 1, size: (h, w), pattern: Pattern::Blocks },
    ];
    if options.dynamic {
        let other = (h + subject.size_multiple().max(4), w);
        requests.push(Request { name: "waves of another size", batch: 1, size: other, pattern: Pattern::Waves });
        requests.push(Request { name: "two images at once", batch: 2, size: (h, w), pattern: Pattern::Blocks });
    }
    let inputs = match options.preprocessing {
        true => {
            let (model, generator) = subject.generator()?;
            Some(Inputs::of(model, generator))
        }
        false => None,
    };
    requests
        .into_iter()
        .map(|request| match &inputs {
            Some(inputs) => request.with_preprocessing(subject, &built, options, inputs),
            None => request.without(subject, &built, options),
        })
        .collect()
}

impl Request {
    /// The images of a batch one by one, through the network: a batch norm's statistics are those of one image.
    fn forward(built: &Built, options: &OnnxOptions, x: &Tensor) -> Result<Vec<Tensor>> {
        let ctx = options.ctx();
        let each = (0..x.dim(0)?).map(|i| built.forward(&x.narrow(0, i, 1)?, &ctx)).collect::<Result<Vec<_>>>()?;
        let outputs = each.first().map_or(0, Vec::len);
        let joined = (0..outputs).map(|o| Tensor::cat(&each.iter().map(|image| &image[o]).collect::<Vec<_>>(), 0));
        Ok(joined.collect::<candle_core::Result<_>>()?)
    }

    fn without(self, subject: &Subject, built: &Built, options: &OnnxOptions) -> Result<Case> {
        let (h, w) = self.size;
        let channels = subject.network.input_nc();
        let classes = subject.model.as_ref().map_or(0, gan_translate::ModelConfig::classes);
        let labels = matches!(built, Built::Generator(_)) && classes > 0 && classes <= channels;
        let value = |n: usize, c: usize, y: usize, x: usize| -> f32 {
            if labels && c < classes {
                return f32::from(u8::from(self.label(n, y, x, classes) == c));
            }
            self.value(n, c, y, x) as f32
        };
        let dims = vec![self.batch, channels, h, w];
        let values = each(&dims, |at| value(at[0], at[1], at[2], at[3]));
        let x = Tensor::from_vec(values.clone(), dims.clone(), &Device::Cpu)?;
        let outputs = Self::forward(built, options, &x)?.iter().map(Array::of).collect::<Result<_>>()?;
        let range = matches!(built, Built::Generator(_) | Built::Encoder(..)).then_some(2.0);
        let inputs = vec![("input".to_owned(), Array { dims, values: Values::F32(values) })];
        Ok(Case { name: self.about(), inputs, outputs, range })
    }

    fn with_preprocessing(
        self,
        subject: &Subject,
        built: &Built,
        options: &OnnxOptions,
        inputs: &Inputs,
    ) -> Result<Case> {
        let (n, (h, w)) = (self.batch, self.size);
        let mut given = Vec::new();
        let zeros = || Tensor::zeros((n, 1, h, w), DType::U32, &Device::Cpu);
        let mut batch = Batch { a: zeros()?, b: None, inst: None, names: vec![String::new(); n] };
        if let Some(channels) = inputs.image {
            let dims = vec![n, h, w, channels];
            let level = |at: &[usize]| ((self.value(at[0], at[3], at[1], at[2]) + 1.0) * 127.5).round() as u8;
            let levels = each(&dims, level);
            let images = levels.chunks_exact(h * w * channels).map(|image| {
                let image = Image::U8(gan_data::Raster::new(w, h, channels, image.to_vec()));
                if inputs.colour { Ok(lab_tensors(&image)?.0) } else { image.to_tensor() }
            });
            batch.a = Tensor::stack(&images.collect::<gan_data::Result<Vec<_>>>()?, 0)?;
            given.push(("image".to_owned(), Array { dims, values: Values::U8(levels) }));
        }
        if inputs.classes > 0 {
            let dims = vec![n, h, w];
            let ids = each(&dims, |at| self.label(at[0], at[1], at[2], inputs.classes) as u32);
            batch.a = Tensor::from_vec(ids.clone(), (n, 1, h, w), &Device::Cpu)?;
            let in_file = |id: u32| match inputs.dont_care {
                Some((dont_care, label)) if id as usize == label => dont_care as i32,
                _ => id as i32,
            };
            let ids = ids.into_iter().map(in_file).collect();
            given.push(("labels".to_owned(), Array { dims, values: Values::I32(ids) }));
        }
        if inputs.instances {
            let dims = vec![n, h, w];
            let ids = each(&dims, |at| 1000 * (at[1] / 9) as u32 + (at[2] / 11) as u32);
            batch.inst = Some(Tensor::from_vec(ids.clone(), (n, 1, h, w), &Device::Cpu)?);
            let ids = ids.into_iter().map(|id| id as i32).collect();
            given.push(("instances".to_owned(), Array { dims, values: Values::I32(ids) }));
        }
        let mut condition = Condition::new(&batch, inputs.classes, DType::F32)?;
        if inputs.features > 0 {
            let dims = vec![n, inputs.features, h, w];
            let values = each(&dims, |at| self.value(at[0], at[1] + 7, at[2] / 9 * 9, at[3] / 11 * 11) as f32);
            condition = condition.with(&Tensor::from_vec(values.clone(), dims.clone(), &Device::Cpu)?)?;
            given.push(("features".to_owned(), Array { dims, values: Values::F32(values) }));
        }
        let y = Self::forward(built, options, &condition.planes()?)?;
        let y = y.first().ok_or_else(|| Error::UnknownNetwork { network: subject.network.to_string() })?;
        let images = (0..n).map(|i| {
            Ok(match inputs.colour {
                true => image_from_lab(&batch.a.get(i)?, &y.get(i)?)?,
                false => image_from_tensor(&y.narrow(0, i, 1)?, Depth::U8, Quantize::Round)?,
            })
        });
        let (mut levels, mut dims) = (Vec::new(), Vec::new());
        for image in images.collect::<Result<Vec<_>>>()? {
            if let Image::U8(raster) = image {
                dims = vec![n, raster.height(), raster.width(), raster.channels()];
                levels.extend_from_slice(raster.samples());
            }
        }
        let outputs = vec![Array { dims, values: Values::U8(levels) }];
        Ok(Case { name: self.about(), inputs: given, outputs, range: Some(255.0) })
    }

    fn about(&self) -> String {
        let (h, w) = self.size;
        format!("{} ({} x {h} x {w})", self.name, self.batch)
    }

    /// A value in [-1, 1].
    fn value(&self, n: usize, c: usize, y: usize, x: usize) -> f64 {
        let of = |a: usize, b: usize| {
            let key = Key::new(17, Purpose::Test).at(n as u64).at(c as u64).at(a as u64).at(b as u64);
            key.stream().range(-1.0, 1.0)
        };
        match self.pattern {
            Pattern::Noise => of(y, x),
            Pattern::Blocks => of(y / 8, x / 8),
            Pattern::Waves => {
                let (x, y, phase) = (x as f64, y as f64, (c + 3 * n) as f64);
                (0.11 * x + phase).sin() * 0.6 + (0.037 * y - 0.05 * x + 2.0 * phase).cos() * 0.4
            }
        }
    }

    /// A label below `classes`.
    fn label(&self, n: usize, y: usize, x: usize, classes: usize) -> usize {
        let side = match self.pattern {
            Pattern::Noise => 1,
            Pattern::Waves => 13,
            Pattern::Blocks => 8,
        };
        let key = Key::new(18, Purpose::Test).at(n as u64).at((y / side) as u64).at((x / side) as u64);
        key.stream().below(classes as u64) as usize
    }
}

impl Case {
    /// How far the outputs of a file are from those of the network, as a part of the range of values; infinite where shapes or types differ, or a value is
    /// no number.
    pub fn error(&self, outputs: &[Array]) -> f64 {
        if outputs.len() != self.outputs.len() {
            return f64::INFINITY;
        }
        let errors = self.outputs.iter().zip(outputs).map(|(ours, theirs)| ours.error(theirs, self.range));
        errors.fold(0.0, f64::max)
    }
}

impl Array {
    fn of(tensor: &Tensor) -> Result<Self> {
        Ok(Array { dims: tensor.dims().to_vec(), values: Values::F32(tensor.flatten_all()?.to_vec1()?) })
    }

    fn error(&self, other: &Array, range: Option<f64>) -> f64 {
        if self.dims != other.dims {
            return f64::INFINITY;
        }
        match (&self.values, &other.values) {
            (Values::F32(a), Values::F32(b)) => {
                let extent = |f: fn(f32, f32) -> f32, start: f32| f64::from(a.iter().copied().fold(start, f));
                let range = range.unwrap_or_else(|| extent(f32::max, f32::MIN) - extent(f32::min, f32::MAX));
                let differences = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()) / range.max(1e-6));
                // `max` passes over what is no number.
                differences.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
            }
            (Values::U8(a), Values::U8(b)) => {
                let most = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                f64::from(most) / range.unwrap_or(255.0)
            }
            _ => f64::INFINITY,
        }
    }
}

/// The values of an array, each by its place.
fn each<T>(dims: &[usize], f: impl Fn(&[usize]) -> T) -> Vec<T> {
    let count = dims.iter().product();
    let mut at = vec![0; dims.len()];
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(f(&at));
        for (place, n) in at.iter_mut().zip(dims).rev() {
            *place += 1;
            if *place < *n {
                break;
            }
            *place = 0;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn array(values: &[f32]) -> Array {
        Array { dims: vec![values.len()], values: Values::F32(values.to_vec()) }
    }

    #[test]
    fn errors_are_parts_of_the_range() {
        let case = |range| Case { name: String::new(), inputs: Vec::new(), outputs: vec![array(&[-1., 3.])], range };
        assert_eq!(case(Some(2.)).error(&[array(&[-1., 2.])]), 0.5);
        assert_eq!(case(None).error(&[array(&[-1., 2.])]), 0.25);
        for other in [array(&[-1.]), array(&[-1., f32::NAN])] {
            assert_eq!(case(None).error(&[other]), f64::INFINITY);
        }
        assert_eq!(case(None).error(&[]), f64::INFINITY);
    }

    #[test]
    fn values_are_counted_by_place() {
        let places = each(&[2, 1, 3], <[usize]>::to_vec);
        assert_eq!(places.len(), 6);
        assert_eq!((places[2].clone(), places[3].clone()), (vec![0, 0, 2], vec![1, 0, 0]));
    }
}
