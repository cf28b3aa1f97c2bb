//! What a convolution does to each value of its result, while that is in the cache.
use crate::cpu::elementwise::act_in_place;
use crate::cpu::real::Real;
use crate::isa::Isa;
use crate::spec::act::Act;

/// Bias per output channel, then activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a, T> {
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) act: Act,
}

impl<'a, T: Real> Epilogue<'a, T> {
    /// A bias alone.
    pub(super) fn bias(bias: Option<&'a [T]>) -> Self {
        Epilogue { bias, act: Act::Identity }
    }

    /// The same, if `T` is F32.
    pub(super) fn f32(self) -> Epilogue<'a, f32> {
        Epilogue { bias: self.bias.and_then(T::as_f32), act: self.act }
    }

    /// What is added to the values of a channel.
    pub(super) fn start(&self, channel: usize) -> T {
        self.bias.map_or(T::zero(), |bias| bias[channel])
    }

    /// Applies the activation to finished values.
    #[inline]
    pub(super) fn activate(&self, isa: Isa, values: &mut [T]) {
        if self.act != Act::Identity {
            act_in_place(isa, values, self.act);
        }
    }
}
