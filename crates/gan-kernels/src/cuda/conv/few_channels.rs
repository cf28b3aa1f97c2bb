//! Convolutions between few channels and many, in BF16: the first and the last one of a network.
//!
//! What `few_channels.cu` calls the fan has the taps of a row of the weight as channels; between the fan and the end of many channels cuDNN
//! convolves by a column of the weight. That is a seventh of the work for a kernel of 7x7, of which tensor cores waste the most
//! where channels are few.

use super::plan::{Arithmetic, Pass, Problem};
use super::{bias, engine, finished, operand, pads_itself};
use crate::cuda::act::code;
use crate::cuda::image::{mode, pad, pad_backward};
use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator};
use crate::cuda::workspace::outside_capture;
use crate::spec::epilogue::Epilogue;
use crate::spec::geometry::Geometry;
use crate::weight::DeviceForm;
use crate::weight::Weight;
use candle_core::{DType, Result, Tensor};

const FEW_CHANNELS: Module = module!("few_channels");

/// The most channels that are few, and the least that are many.
const FEW: usize = 6;
const MANY: usize = 16;
/// Channels that one thread of the kernels treats.
const PACK: usize = 8;

/// A convolution one end of which has few channels.
pub(super) struct FewChannels<'a> {
    g: &'a Geometry,
    /// Whether these are those of the small end.
    out: bool,
    few: usize,
    many: usize,
    /// Channels of the fan.
    width: usize,
    /// Rows that are put above and below the big end; zeros are cuDNN's part.
    up: usize,
}

impl<'a> FewChannels<'a> {
    /// `None` if there is nothing to be gained.
    pub(super) fn of(arithmetic: Arithmetic, g: &'a Geometry) -> Option<Self> {
        let out = match (g.ci, g.co) {
            (1..=FEW, MANY..) => false,
            (MANY.., 1..=FEW) if g.stride == 1 => true,
            _ => return None,
        };
        let (few, many) = if out { (g.co, g.ci) } else { (g.ci, g.co) };
        // Multiples of 8 would do, but for 24 channels cuDNN may have nothing that uses tensor cores.
        let width = (few * g.kw).next_power_of_two().max(PACK);
        let up = if pads_itself(g) { 0 } else { g.padding[0] };
        let this = FewChannels { g, out, few, many, width, up };
        let [_, c, h, w] = this.fan_dims();
        // cuDNN counts elements with 31 bits.
        let fits = [g.n, c, h, w].iter().try_fold(1i32, |n, &d| n.checked_mul(i32::try_from(d).ok()?)).is_some();
        (arithmetic == Arithmetic::Bf16 && g.kw > 1 && g.n > 0 && fits).then_some(this)
    }

    /// See [`super::forward`]; `None` where cuDNN has no algorithm.
    pub(super) fn forward(&self, op: &str, x: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Option<Tensor>> {
        let g = self.g;
        let filter = self.filter(w)?;
        let run = |from: &Operand, to: &Output| self.run(Pass::Forward, from, address(&filter)?, to);
        if self.out {
            let x = operand(&self.tall(x)?)?;
            let fan = self.room(&x, self.fan_dims())?;
            return if run(&x, &fan)? { self.sum(op, &x, &fan, epilogue).map(Some) } else { Ok(None) };
        }
        let fan = self.fan(x)?;
        let y = self.room(&fan, [g.n, g.co, g.ho, g.wo])?;
        if !run(&fan, &y)? {
            return Ok(None);
        }
        finished(op, &fan.device, y, DType::BF16, [g.n, g.co, g.ho, g.wo], epilogue).map(Some)
    }

    /// See [`super::backward_data`].
    pub(super) fn backward_data(&self, op: &str, y: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Option<Tensor>> {
        let g = self.g;
        let filter = self.filter(w)?;
        let run = |from: &Operand, to: &Output| self.run(Pass::Data, from, address(&filter)?, to);
        if !self.out {
            let y = operand(y)?;
            let fan = self.room(&y, self.fan_dims())?;
            return if run(&y, &fan)? { self.fan_adjoint(op, &y, &fan, epilogue).map(Some) } else { Ok(None) };
        }
        let fan = self.sum_adjoint(y)?;
        let dims = [g.n, g.ci, g.h + 2 * self.up, g.w];
        let tall = self.room(&fan, dims)?;
        if !run(&fan, &tall)? {
            return Ok(None);
        }
        if self.up == 0 {
            return finished(op, &fan.device, tall, DType::BF16, dims, epilogue).map(Some);
        }
        // Only the backward pass of a convolution has such a padding, and it has no epilogue.
        pad_backward(&tall.tensor(), g.mode, [self.up, 0], (g.h, g.w)).map(Some)
    }

    /// Adds the weight's gradient to the accumulator at an address; false, with nothing done, where cuDNN has no algorithm.
    pub(super) fn add_weight_gradient(&self, big: &Tensor, small: &Tensor, into: u64) -> Result<bool> {
        let (x, y) = match self.out {
            true => (operand(&self.tall(big)?)?, self.sum_adjoint(small)?),
            false => (self.fan(big)?, operand(small)?),
        };
        let gradient = Output::new(&x.device, DType::BF16, &[self.filter_len()], MemoryFormat::Nchw)?;
        if !self.run(Pass::Filter, &x, y.address, &gradient)? {
            return Ok(false);
        }
        let launch = Launch::new(&x.device, &FEW_CHANNELS, "add_few_channels_filter")?.arg(gradient.address).arg(into);
        self.filter_sizes(launch)?;
        Ok(true)
    }

    fn run(&self, pass: Pass, first: &Operand, second: u64, out: &Output) -> Result<bool> {
        engine::run(&first.device, &self.problem(pass), [first.address, second], out.address, false)
    }

    /// What is left for cuDNN.
    fn problem(&self, pass: Pass) -> Problem {
        let g = self.g;
        let (ci, co, w) = if self.out { (g.ci, self.width, g.w) } else { (self.width, g.co, g.wo) };
        Problem {
            ci,
            co,
            h: g.h + 2 * self.up,
            w,
            wo: w,
            kw: 1,
            stride: [g.stride, 1],
            padding: [g.padding[0] - self.up, 0],
            ..Problem::new(pass, Arithmetic::Bf16, g)
        }
    }

    fn fan_dims(&self) -> [usize; 4] {
        let g = self.g;
        if self.out { [g.n, self.width, g.ho, g.w] } else { [g.n, self.width, g.h + 2 * self.up, g.wo] }
    }

    fn room(&self, like: &Operand, dims: [usize; 4]) -> Result<Output> {
        Output::new(&like.device, DType::BF16, &dims, MemoryFormat::Nhwc)
    }

    /// The big end with the rows that cuDNN does not put there.
    fn tall(&self, x: &Tensor) -> Result<Tensor> {
        if self.up == 0 { Ok(x.detach()) } else { pad(x, self.g.mode, [self.up, 0]) }
    }

    /// The fan of the big end.
    fn fan(&self, x: &Tensor) -> Result<Operand> {
        let (g, x) = (self.g, operand(x)?);
        let [_, _, rows, cols] = self.fan_dims();
        let fan = self.room(&x, self.fan_dims())?;
        let launch = Launch::new(&x.device, &FEW_CHANNELS, "few_channels_fan")?.arg(x.address).arg(fan.address);
        self.fan_sizes(launch, [rows, cols])?.threads(g.n * rows * cols * self.width / PACK)?;
        Operand::ordered(&fan.tensor(), MemoryFormat::Nhwc)
    }

    /// The big end from its fan.
    fn fan_adjoint(&self, op: &str, like: &Operand, fan: &Output, epilogue: Epilogue) -> Result<Tensor> {
        let g = self.g;
        let [_, _, rows, cols] = self.fan_dims();
        let x = self.room(like, [g.n, self.few, g.h, g.w])?;
        let bias = epilogue.bias.map(|b| bias::checked(op, b, self.few, DType::F32)).transpose()?;
        let launch = Launch::new(&like.device, &FEW_CHANNELS, "few_channels_fan_adjoint")?
            .arg(fan.address)
            .arg(x.address)
            .arg(bias.as_ref().map(|b| b.address))
            .arg(code(epilogue.act));
        self.fan_sizes(launch, [rows, cols])?.threads(g.n * g.h * g.w * self.few)?;
        Ok(x.tensor())
    }

    fn fan_sizes<'l>(&self, launch: Launch<'l>, [rows, cols]: [usize; 2]) -> Result<Launch<'l>> {
        let g = self.g;
        let sizes = [g.n, g.h, g.w, self.few, rows, cols, self.width, g.kw, g.stride, self.up, g.padding[1]];
        Ok(sizes.into_iter().try_fold(launch, Launch::size)?.arg(mode(g.mode)))
    }

    /// The small end from its fan.
    fn sum(&self, op: &str, like: &Operand, fan: &Output, epilogue: Epilogue) -> Result<Tensor> {
        let g = self.g;
        let y = self.room(like, [g.n, self.few, g.ho, g.wo])?;
        let bias = epilogue.bias.map(|b| bias::checked(op, b, self.few, DType::F32)).transpose()?;
        let launch = Launch::new(&like.device, &FEW_CHANNELS, "few_channels_sum")?
            .arg(fan.address)
            .arg(y.address)
            .arg(bias.as_ref().map(|b| b.address))
            .arg(code(epilogue.act));
        self.sum_sizes(launch)?.threads(g.n * g.ho * g.wo * self.few)?;
        Ok(y.tensor())
    }

    /// The fan of the small end.
    fn sum_adjoint(&self, y: &Tensor) -> Result<Operand> {
        let (g, y) = (self.g, operand(y)?);
        let fan = self.room(&y, self.fan_dims())?;
        let launch = Launch::new(&y.device, &FEW_CHANNELS, "few_channels_sum_adjoint")?.arg(y.address).arg(fan.address);
        self.sum_sizes(launch)?.threads(g.n * g.ho * g.w * self.width / PACK)?;
        Operand::ordered(&fan.tensor(), MemoryFormat::Nhwc)
    }

    fn sum_sizes<'l>(&self, launch: Launch<'l>) -> Result<Launch<'l>> {
        let g = self.g;
        let sizes = [g.n, g.ho, g.wo, self.few, g.w, self.width, g.kw, g.padding[1]];
        Ok(sizes.into_iter().try_fold(launch, Launch::size)?.arg(mode(g.mode)))
    }

    /// The weight as a convolution with the fan takes it.
    fn filter(&self, w: &Weight) -> Result<Tensor> {
        w.on_device(DeviceForm::FewChannels, |former| {
            let weight = Operand::ordered(w.tensor(), MemoryFormat::Nchw)?;
            // As with other filters, a captured graph keeps finding the copy there.
            let copy = match former {
                Some(copy) => copy,
                None => {
                    outside_capture(&weight.device, "the copy of a weight")?;
                    Output::new(&weight.device, DType::BF16, &[self.filter_len()], MemoryFormat::Nchw)?.tensor()
                }
            };
            let launch = Launch::new(&weight.device, &FEW_CHANNELS, "few_channels_filter")?
                .arg(weight.address)
                .arg(address(&copy)?);
            self.filter_sizes(launch)?;
            Ok(copy)
        })
    }

    fn filter_len(&self) -> usize {
        self.many * self.g.kh * self.width
    }

    /// Adds the last arguments of a kernel over a filter and launches it.
    fn filter_sizes(&self, launch: Launch) -> Result<()> {
        let sizes = [self.many, self.few, self.g.kh, self.g.kw, self.width];
        sizes.into_iter().try_fold(launch, Launch::size)?.arg(self.out).threads(self.filter_len())
    }
}

fn address(filter: &Tensor) -> Result<u64> {
    accumulator(filter, DType::BF16)
}
