//! What a transform acts on.

use crate::dynamic_image::Image;
use crate::ids::IdMap;
use crate::jitter::JitterFactors;
use crate::resample::Filter;
use crate::warp::Field;

/// What a transform acts on: images are interpolated, ids are picked.
pub trait Pixels: Sized {
    /// `(width, height)`.
    fn size(&self) -> (usize, usize);
    /// Resized, by the way that suits the kind.
    #[must_use]
    fn resized(self, width: usize, height: usize) -> Self;
    /// The window `(x, y, width, height)`, zero beyond the edge.
    #[must_use]
    fn cropped(&self, x: usize, y: usize, width: usize, height: usize) -> Self;
    /// Mirrors left and right.
    fn flip(&mut self);
    /// With every pixel from where the field says; the field is of this size.
    #[must_use]
    fn warped(self, field: &Field) -> Self;
    /// With other colours, if it has any.
    #[must_use]
    fn jittered(self, factors: JitterFactors) -> Self;
}

impl Pixels for Image {
    fn size(&self) -> (usize, usize) {
        Self::size(self)
    }
    fn resized(self, width: usize, height: usize) -> Self {
        self.resize(width, height, Filter::Bicubic)
    }
    fn cropped(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        self.crop(x, y, width, height)
    }
    fn flip(&mut self) {
        self.flip_horizontal();
    }
    fn warped(self, field: &Field) -> Self {
        self.warp(field)
    }
    fn jittered(self, factors: JitterFactors) -> Self {
        self.jitter(factors)
    }
}

impl Pixels for IdMap {
    fn size(&self) -> (usize, usize) {
        Self::size(self)
    }
    fn resized(self, width: usize, height: usize) -> Self {
        self.resize(width, height)
    }
    fn cropped(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        self.crop(x, y, width, height)
    }
    fn flip(&mut self) {
        self.flip_horizontal();
    }
    fn warped(self, field: &Field) -> Self {
        self.warp(field)
    }
    fn jittered(self, _: JitterFactors) -> Self {
        self
    }
}
