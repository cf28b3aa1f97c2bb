//! The input of a convolution that is read where it lies: planes of one tensor or of two, and an activation on the way.
use crate::cpu::elementwise::{act, act_in_place, for_overwrite};
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::Isa;
use crate::spec::act::Act;
use std::borrow::Cow;

/// Planes, those of the first part first, each value of which is to pass the activation. Two parts are of one image; all four
/// activations leave the zeros of a padding alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joined<'a, T> {
    pub(crate) parts: [&'a [T]; 2],
    pub(crate) act: Act,
}

impl<'a, T: Real> Joined<'a, T> {
    /// A tensor as it is.
    pub(super) fn one(x: &'a [T]) -> Self {
        Joined { parts: [x, &[]], act: Act::Identity }
    }

    /// The same, if `T` is F32.
    pub(super) fn f32(&self) -> Option<Joined<'a, f32>> {
        let [first, second] = self.parts;
        Some(Joined { parts: [T::as_f32(first)?, T::as_f32(second)?], act: self.act })
    }

    /// All values, activated.
    pub(super) fn made(&self) -> Cow<'a, [T]> {
        let [first, second] = self.parts;
        if second.is_empty() && self.act == Act::Identity {
            return Cow::Borrowed(first);
        }
        let mut made = for_overwrite(first.len() + second.len());
        let (to_first, to_second) = made.split_at_mut(first.len());
        act(isa(), first, to_first, self.act);
        act(isa(), second, to_second, self.act);
        Cow::Owned(made)
    }

    /// Plane `i` of all parts, of `area` elements, which are not yet activated.
    #[inline]
    pub(super) fn plane(&self, i: usize, area: usize) -> &'a [T] {
        let [first, second] = self.parts;
        let at = i * area;
        if at < first.len() { &first[at..at + area] } else { &second[at - first.len()..][..area] }
    }

    /// Activates values that were read.
    #[inline]
    pub(super) fn activate(&self, isa: Isa, values: &mut [T]) {
        if self.act != Act::Identity {
            act_in_place(isa, values, self.act);
        }
    }
}
