//! Shapes, parameters and multiply-adds, layer by layer.

use crate::kind::Kind;
use crate::{Pool2d, Sequence};
use candle_core::{Result, bail};

/// Longest side that shapes are computed for.
const MAX_SIDE: usize = 1 << 24;

/// One line of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Path of the layer.
    pub path: String,
    /// Its kind, for example `Conv 7x7 s1`.
    pub kind: String,
    /// Channels, height and width of its output for one image.
    pub output: (usize, usize, usize),
    /// Number of its parameters.
    pub params: usize,
    /// Multiply-adds for one image.
    pub macs: u64,
}

impl Row {
    /// Values of its output for one image.
    fn values(&self) -> u64 {
        let (channels, height, width) = self.output;
        (channels * height * width) as u64
    }
}

/// What a network consists of, for one input size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The layers that do something, in order.
    pub rows: Vec<Row>,
}

impl Summary {
    /// Number of parameters.
    pub fn params(&self) -> usize {
        self.rows.iter().map(|r| r.params).sum()
    }

    /// Multiply-adds for one image.
    pub fn macs(&self) -> u64 {
        self.rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.macs))
    }

    /// Values that a training pass keeps of one image until the backward pass, about: the outputs of convolutions, of
    /// activations that are not part of what lies in front, of dropout and of sums. With `checkpointing` residual blocks keep
    /// none of theirs, and those of the largest block are made again.
    pub fn activations(&self, checkpointing: bool) -> u64 {
        let parent = |row: &Row| row.path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let mut front: Option<&Row> = None;
        let mut kept = Vec::new();
        for row in &self.rows {
            let joined = front.is_some_and(|front| {
                parent(front) == parent(row)
                    && ["Conv", "InstanceNorm", "BatchNorm"].iter().any(|kind| front.kind.starts_with(kind))
            });
            let keeps = match row.kind.as_str() {
                "InstanceNorm" | "BatchNorm" | "Concat" => false,
                kind if kind.starts_with("Conv") || kind.starts_with("Dropout") || kind == "Sum" => true,
                _ => !joined,
            };
            kept.push((row, if keeps { row.values() } else { 0 }));
            front = Some(row);
        }
        let all = kept.iter().map(|(_, values)| values).sum::<u64>();
        if !checkpointing {
            return all;
        }
        let within = |block: &Row| -> u64 {
            let prefix = format!("{}.", block.path);
            kept.iter().filter(|(row, _)| row.path.starts_with(&prefix)).map(|(_, values)| values).sum()
        };
        let blocks: Vec<u64> = self.rows.iter().filter(|row| row.kind == "Sum").map(within).collect();
        all - blocks.iter().sum::<u64>() + blocks.iter().max().copied().unwrap_or(0)
    }

    /// Values of the largest output for one image.
    pub fn largest(&self) -> u64 {
        self.rows.iter().map(Row::values).max().unwrap_or(0)
    }

    /// `(height, width)` of what the last layer puts out for one image, if there is a layer.
    pub fn output_hw(&self) -> Option<(usize, usize)> {
        self.rows.last().map(|row| (row.output.1, row.output.2))
    }

    /// Appends the layers of `seq` for an input of `(channels, height, width)` and returns the output's.
    ///
    /// # Errors
    /// Where a layer does not take the size that reaches it, or the two sides of a sum or a concatenation differ in size.
    pub fn add(
        &mut self,
        seq: &Sequence,
        (channels, height, width): (usize, usize, usize),
    ) -> Result<(usize, usize, usize)> {
        if height.max(width) > MAX_SIDE {
            bail!("images of {height} x {width} pixels are too large");
        }
        let mut rows = Rows { rows: &mut self.rows, channels, height, width };
        rows.sequence(seq)?;
        Ok((rows.channels, rows.height, rows.width))
    }
}

/// Channels, height and width of what a layer puts out for an input of `[C, H, W]`.
///
/// # Errors
/// The layer does not take this size.
pub(crate) fn output_size(layer: &dyn Kind, path: &str, [channels, height, width]: [usize; 3]) -> Result<[usize; 3]> {
    let mut rows = Vec::new();
    let mut to = Rows { rows: &mut rows, channels, height, width };
    layer.summarize(path, &mut to)?;
    Ok([to.channels, to.height, to.width])
}

/// A summary being written: its rows, and the size that the next layer gets.
pub(crate) struct Rows<'a> {
    rows: &'a mut Vec<Row>,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Rows<'_> {
    /// Appends the layers of a sequence.
    pub(crate) fn sequence(&mut self, seq: &Sequence) -> Result<()> {
        seq.nodes().iter().try_for_each(|node| node.layer.kind().summarize(&node.path, self))
    }

    /// Appends the layers of a sequence that the input of the layer at `path` passes by. Returns the channels that the sequence puts
    /// out; the size stays that of the input.
    ///
    /// # Errors
    /// The sequence changes height or width.
    pub(crate) fn branch(&mut self, path: &str, seq: &Sequence) -> Result<usize> {
        let (channels, h, w) = (self.channels, self.height, self.width);
        self.sequence(seq)?;
        if (self.height, self.width) != (h, w) {
            bail!("{path}: what passes by is {h} x {w}, what passes through becomes {} x {}", self.height, self.width)
        }
        Ok(std::mem::replace(&mut self.channels, channels))
    }

    /// Appends a layer whose output has the present size. Its multiply-adds are the product of these factors.
    pub(crate) fn row(&mut self, layer: &dyn Kind, path: &str, kind: String, macs: &[usize]) {
        let mut params = 0;
        layer.each_param(&mut |param| params += param.tensor().elem_count());
        let macs = macs.iter().copied().reduce(usize::saturating_mul).unwrap_or(0) as u64;
        self.push(path, kind, params, macs);
    }

    /// Moves the size on by a pooling and appends its row.
    ///
    /// # Errors
    /// No window fits.
    pub(crate) fn pool(&mut self, layer: &dyn Kind, path: &str, name: &str, windows: &Pool2d) -> Result<()> {
        let Pool2d { kernel, stride, .. } = *windows;
        (self.height, self.width) = windows.output_hw((self.height, self.width))?;
        self.row(layer, path, format!("{name} {kernel}x{kernel} s{stride}"), &[]);
        Ok(())
    }

    /// Appends what joins branches to the present size.
    pub(crate) fn join(&mut self, path: &str, kind: &str) {
        self.push(path, kind.to_string(), 0, 0);
    }

    fn push(&mut self, path: &str, kind: String, params: usize, macs: u64) {
        let output = (self.channels, self.height, self.width);
        self.rows.push(Row { path: path.to_string(), kind, output, params, macs });
    }
}
