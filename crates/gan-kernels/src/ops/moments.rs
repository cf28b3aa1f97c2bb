//! Mean and variance of the channels of an image from its rows as they come.
use crate::cpu::moments::{Moments as Parts, Pieces};
use crate::dispatch::{isa, on_cuda};
use crate::ops::storage::{plain, slices, tensor};
use crate::spec::norm::Moments;
use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

/// The statistics that [`norm`](crate::norm::norm) takes of an image `[1, C, H, W]` of F32, from its rows as they come: on the CPU bit for bit, of
/// [merged](MomentsOfRows::merged) bands on any device but for rounding.
#[derive(Debug, Clone)]
pub struct MomentsOfRows {
    channels: usize,
    rows: Rows,
}

#[derive(Debug, Clone)]
enum Rows {
    Pieces(Vec<Pieces<f32>>),
    /// Values of a channel in a band, and its statistics, on the band's device.
    Bands(Vec<(usize, Moments)>),
}

impl MomentsOfRows {
    /// Of this many channels on the CPU, before the first row.
    pub fn new(channels: usize) -> Self {
        MomentsOfRows { channels, rows: Rows::Pieces(vec![Pieces::new(); channels]) }
    }

    /// Of this many channels on any device: the statistics of bands, which are merged in F64.
    pub fn merged(channels: usize) -> Self {
        MomentsOfRows { channels, rows: Rows::Bands(Vec::new()) }
    }

    /// Adds the next rows `[1, C, rows, W]`.
    ///
    /// # Errors
    /// Another number of images or channels; they are not F32, or, unless bands are merged, not on the CPU.
    pub fn add(&mut self, rows: &Tensor) -> Result<()> {
        let (n, c, h, w) = rows.dims4()?;
        if (n, c) != (1, self.channels) || rows.dtype() != DType::F32 {
            let (channels, dtype) = (self.channels, rows.dtype());
            bail!("moments of rows: expected [1, {channels}, rows, W] of F32, got {:?} of {dtype:?}", rows.dims())
        }
        if h * w == 0 {
            return Ok(());
        }
        match &mut self.rows {
            Rows::Pieces(pieces) => add(pieces, rows),
            Rows::Bands(bands) => {
                bands.push((h * w, of_band(rows)?));
                Ok(())
            }
        }
    }

    /// The statistics of all rows so far, each `[C]`, on the device of the rows; NaN before the first.
    ///
    /// # Errors
    /// None, but for what candle says.
    pub fn finish(&self) -> Result<Moments> {
        let (mut parts, isa) = (vec![Parts::default(); self.channels], isa());
        let mut device = Device::Cpu;
        match &self.rows {
            Rows::Pieces(pieces) => {
                pieces.iter().zip(&mut parts).for_each(|(channel, part)| *part = channel.moments(isa));
            }
            Rows::Bands(bands) => {
                for (count, Moments { mean, var }) in bands {
                    device = mean.device().clone();
                    let values = mean.to_vec1::<f32>()?.into_iter().zip(var.to_vec1::<f32>()?);
                    for (part, (mean, var)) in parts.iter_mut().zip(values) {
                        *part = part.merge(Parts::of_values(*count, mean, var));
                    }
                }
            }
        }
        let (mean, var): (Vec<f32>, Vec<f32>) = parts.into_iter().map(|part| part.mean_and_variance::<f32>()).unzip();
        let to = |values: Vec<f32>| tensor(values, self.channels)?.to_device(&device);
        Ok(Moments { mean: to(mean)?, var: to(var)? })
    }
}

fn add(pieces: &mut [Pieces<f32>], rows: &Tensor) -> Result<()> {
    let (rows, isa) = (plain(rows)?, isa());
    let (_, _, h, w) = rows.dims4()?;
    slices!(f32; xs = rows);
    pieces.par_iter_mut().zip(xs.par_chunks(h * w)).for_each(|(channel, rows)| channel.add(isa, rows));
    Ok(())
}

/// The statistics of a band.
fn of_band(rows: &Tensor) -> Result<Moments> {
    on_cuda!(rows, norm::statistics(rows));
    let mut whole = MomentsOfRows::new(rows.dim(1)?);
    whole.add(rows)?;
    whole.finish()
}
