//! Values that are kept for later sweeps: in memory, or in a file.

use super::dataflow::Size;
use candle_core::{Result, Tensor, bail};
use gan_kernels::bytes::{from_bytes, with_bytes};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// Where values go that memory has no room for.
pub trait Scratch {
    /// A new file, which is gone when it is dropped.
    ///
    /// # Errors
    /// There can be no file.
    fn file(&self) -> io::Result<Box<dyn ScratchFile>>;
}

/// A file of bytes that nobody else sees.
pub trait ScratchFile {
    /// Writes behind what is there.
    ///
    /// # Errors
    /// There is no room.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads from a place that was written.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// The rows of a value, in the pieces in which they came.
pub(super) struct Store {
    size: Size,
    pieces: VecDeque<Piece>,
    file: Option<Box<dyn ScratchFile>>,
    /// With a file, the rows in front of this one are in memory.
    resident: usize,
    written: u64,
}

struct Piece {
    rows: Range<usize>,
    at: Location,
}

enum Location {
    /// `[1, C, rows, W]`.
    Memory(Tensor),
    /// Where `[C, rows, W]` begins in the file.
    File(u64),
}

impl Store {
    /// In memory, or in this file but for the rows in front of `resident`.
    pub(super) fn new(size: Size, file: Option<Box<dyn ScratchFile>>, resident: usize) -> Self {
        Store { size, pieces: VecDeque::new(), file, resident, written: 0 }
    }

    /// Adds the rows `[1, C, rows, W]` that follow those before.
    pub(super) fn append(&mut self, first: usize, rows: &Tensor) -> Result<()> {
        let count = rows.dim(2)?;
        let at = match &mut self.file {
            Some(file) if first + count > self.resident => {
                with_bytes(rows, |bytes| file.append(bytes))??;
                self.written += self.size.row_bytes() * count as u64;
                Location::File(self.written - self.size.row_bytes() * count as u64)
            }
            _ => Location::Memory(rows.clone()),
        };
        self.pieces.push_back(Piece { rows: first..first + count, at });
        Ok(())
    }

    /// The rows `[1, C, rows, W]`. With `last`, no row in front of their end will be read again.
    pub(super) fn read(&mut self, rows: &Range<usize>, last: bool) -> Result<Tensor> {
        let mut parts = Vec::new();
        for piece in &self.pieces {
            let part = piece.rows.start.max(rows.start)..piece.rows.end.min(rows.end);
            if !part.is_empty() {
                let file = self.file.as_mut();
                parts.push(piece.read(self.size, &part, file)?);
            }
        }
        if last {
            while self.pieces.front().is_some_and(|piece| piece.rows.end <= rows.end) {
                self.pieces.pop_front();
            }
        }
        match parts.len() {
            0 => bail!("rows {rows:?} of a value were not stored"),
            1 => parts.remove(0).contiguous(),
            _ => Tensor::cat(&parts, 2)?.contiguous(),
        }
    }
}

impl Piece {
    fn read(&self, size: Size, rows: &Range<usize>, file: Option<&mut Box<dyn ScratchFile>>) -> Result<Tensor> {
        let skipped = rows.start - self.rows.start;
        let offset = match (&self.at, &file) {
            (Location::Memory(tensor), _) => return tensor.narrow(2, skipped, rows.len()),
            (Location::File(offset), Some(_)) => *offset,
            (Location::File(_), None) => bail!("a value's file is gone"),
        };
        let Some(file) = file else { bail!("a value's file is gone") };
        let row = size_of::<f32>() * size.width;
        let whole = self.rows.len();
        from_bytes((1, size.channels, rows.len(), size.width), |bytes| {
            if rows.len() == whole {
                return file.read_at(offset, bytes);
            }
            for (c, to) in bytes.chunks_exact_mut(rows.len() * row).enumerate() {
                file.read_at(offset + ((c * whole + skipped) * row) as u64, to)?;
            }
            Ok(())
        })
    }
}
