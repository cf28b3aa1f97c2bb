//! Shapes, parameters and multiply-adds, layer by layer.

use crate::Sequence;
use crate::kind::Kind;
use candle_core::Result;

/// One line of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Path of the layer.
    pub path: String,
    /// Its kind, for example `Conv 7x7 s1`.
    pub kind: String,
    /// Channels, height and width of its output for one picture.
    pub output: (usize, usize, usize),
    /// Number of its parameters.
    pub params: usize,
    /// Multiply-adds for one picture.
    pub macs: u64,
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

    /// Multiply-adds for one picture.
    pub fn macs(&self) -> u64 {
        self.rows.iter().map(|r| r.macs).sum()
    }

    /// Appends the layers of `seq` for an input of `(channels, height, width)` and returns the output's.
    ///
    /// # Errors
    /// A layer does not take the size that reaches it.
    pub fn add(
        &mut self,
        seq: &Sequence,
        (channels, height, width): (usize, usize, usize),
    ) -> Result<(usize, usize, usize)> {
        let mut rows = Rows { rows: &mut self.rows, channels, height, width };
        rows.sequence(seq)?;
        Ok((rows.channels, rows.height, rows.width))
    }
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

    /// Appends a layer whose output has the present size.
    pub(crate) fn row(&mut self, layer: &dyn Kind, path: &str, kind: String, macs: u64) {
        let mut params = 0;
        layer.each_param(&mut |param| params += param.tensor().elem_count());
        self.push(path, kind, params, macs);
    }

    /// Appends what joins two branches to the present size.
    pub(crate) fn join(&mut self, path: &str, kind: &str) {
        self.push(path, kind.to_string(), 0, 0);
    }

    fn push(&mut self, path: &str, kind: String, params: usize, macs: u64) {
        let output = (self.channels, self.height, self.width);
        self.rows.push(Row { path: path.to_string(), kind, output, params, macs });
    }
}
