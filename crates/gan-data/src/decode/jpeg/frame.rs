//! The frame: how the image is divided into components, and these into blocks of 8x8 samples.

use crate::decode::flaw::{Flaw, part};

/// One plane of samples.
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks of an MCU, across and down.
    pub(super) sampling: (usize, usize),
    /// Blocks that hold some of the image, across and down: those of a scan of this component alone.
    pub(super) blocks: (usize, usize),
    /// Blocks in a row, those included that only complete an MCU.
    pub(super) stride: usize,
    /// Progressive: by coefficient, how many of its low bits are still to come; `None` before its first scan.
    pub(super) missing: [Option<u8>; 64],
    /// Progressive: by block, one bit for each coefficient that is not zero.
    pub(super) nonzero: Vec<u64>,
}

/// What a frame header says.
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// MCUs of a scan of several components, across and down.
    pub(super) mcus: (usize, usize),
}

impl Frame {
    /// Reads the body of a frame header. Its size was held against the limits before: memory is taken for it here.
    pub(super) fn new(body: &[u8], progressive: bool) -> Result<Self, Flaw> {
        const ODD: Flaw = Flaw::Damaged("its frame header makes no sense");
        let header = part(body, 0, 6)?;
        let side = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let (height, width) = (side(1), side(3));
        let parts: Vec<&[u8]> = part(body, 6, 3 * usize::from(header[5]))?.chunks_exact(3).collect();
        let sampling = |part: &[u8]| (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        let most = |factor: fn((usize, usize)) -> usize| parts.iter().map(|part| factor(sampling(part))).max();
        let (Some(most_h), Some(most_v)) = (most(|s| s.0), most(|s| s.1)) else { return Err(ODD) };
        let factors = parts.iter().flat_map(|part| <[usize; 2]>::from(sampling(part)));
        if width == 0 || height == 0 || parts.len() > 4 || factors.into_iter().any(|f| !(1..=4).contains(&f)) {
            return Err(ODD);
        }
        let mcus = (width.div_ceil(8 * most_h), height.div_ceil(8 * most_v));
        let component = |part: &&[u8]| {
            let (h, v) = sampling(part);
            let blocks = |side: usize, factor: usize, most: usize| (side * factor).div_ceil(most).div_ceil(8);
            let stride = mcus.0 * h;
            Component {
                id: part[0],
                sampling: (h, v),
                blocks: (blocks(width, h, most_h), blocks(height, v, most_v)),
                stride,
                missing: [None; 64],
                nonzero: if progressive { vec![0; stride * mcus.1 * v] } else { Vec::new() },
            }
        };
        Ok(Frame { progressive, components: parts.iter().map(component).collect(), mcus })
    }

    /// Whether a scan came for every component.
    pub(super) fn has_all_components(&self) -> bool {
        self.components.iter().all(|component| component.missing[0].is_some())
    }

    /// Whether every coefficient came down to its last bit.
    pub(super) fn is_complete(&self) -> bool {
        self.components.iter().all(|component| component.missing.iter().all(|missing| *missing == Some(0)))
    }
}
