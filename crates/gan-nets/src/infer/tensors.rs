//! What the tensors of a state dict say about single layers.

use gan_layers::NormKind;
use gan_weights::{StateDict, shown};

/// The widest layers are far narrower.
const MAX_WIDTH: usize = 1 << 16;

/// The deepest networks have far fewer blocks. What is counted off a file reaches loops and recursion.
const MAX_COUNT: usize = 256;

/// A state dict under study.
pub(super) struct Tensors<'a>(pub(super) &'a StateDict);

impl Tensors<'_> {
    fn dims(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(|tensor| tensor.dims())
    }

    /// The shape of the square kernels of the convolution at `path`, `[dim 0, dim 1, side]`. `None` for sizes that no
    /// network has, so that nothing computed from them overflows.
    pub(super) fn conv(&self, path: &str) -> Option<[usize; 3]> {
        match *self.dims(&format!("{path}.weight"))? {
            [out, input, height, width]
                if height == width && [out, input].iter().all(|n| (1..=MAX_WIDTH).contains(n)) =>
            {
                Some([out, input, height])
            }
            _ => None,
        }
    }

    /// The side of the constant filter of the anti-aliased layer at `path`.
    pub(super) fn filter(&self, path: &str) -> Option<usize> {
        match *self.dims(&format!("{path}.filt"))? {
            [_, 1, height, width] if height == width => Some(height),
            _ => None,
        }
    }

    /// Whether the layer at `path` has a bias.
    pub(super) fn bias(&self, path: &str) -> bool {
        self.0.contains(&format!("{path}.bias"))
    }

    /// Whether the layer at `path` scales and shifts channels: a norm.
    fn is_affine(&self, path: &str) -> bool {
        let bias = self.dims(&format!("{path}.bias"));
        self.dims(&format!("{path}.weight")).is_some_and(|dims| dims.len() == 1 && bias == Some(dims))
    }

    /// Whether the norm at `path` has running statistics.
    fn has_statistics(&self, path: &str) -> bool {
        ["running_mean", "running_var"].iter().any(|field| self.0.contains(&format!("{path}.{field}")))
    }

    /// The norm with scale and shift at `path`, if there is one. A batch norm has running statistics.
    fn affine(&self, path: &str) -> Option<NormKind> {
        let norm = if self.has_statistics(path) { NormKind::Batch } else { NormKind::InstanceAffine };
        self.is_affine(path).then_some(norm)
    }

    /// Whether there is a batch norm at `path`.
    pub(super) fn batch_norm(&self, path: &str) -> bool {
        self.affine(path) == Some(NormKind::Batch)
    }

    /// The normalization at `norm`, behind the convolution at `conv`, in the networks of pix2pix and CycleGAN: there
    /// only the convolutions before instance norms have a bias.
    pub(super) fn norm(&self, conv: &str, norm: &str) -> NormKind {
        self.affine(norm).unwrap_or(if self.bias(conv) { NormKind::Instance } else { NormKind::None })
    }

    /// The normalization at `path` in the networks of pix2pixHD, which always have one.
    pub(super) fn hd_norm(&self, path: &str) -> NormKind {
        self.affine(path).unwrap_or(NormKind::Instance)
    }

    /// The first name that satisfies `is`.
    pub(super) fn first(&self, is: impl Fn(&str) -> bool) -> Option<&str> {
        self.0.names().find(|name| is(name))
    }

    /// How many of the consecutive numbers from 0 satisfy `holds`, at most [`MAX_COUNT`].
    pub(super) fn count(&self, holds: impl Fn(&Self, usize) -> bool) -> usize {
        (0..MAX_COUNT).take_while(|&n| holds(self, n)).count()
    }

    /// A few of the names and shapes, for messages.
    pub(super) fn excerpt(&self) -> String {
        const SHOWN: usize = 3;
        let mut parts: Vec<_> =
            self.0.iter().take(SHOWN).map(|(name, tensor)| format!("{} {:?}", shown(name), tensor.dims())).collect();
        if self.0.len() > SHOWN {
            parts.push("…".to_owned());
        }
        match (self.0.len(), self.0.others()) {
            (0, [(name, raw), ..]) => {
                format!("{} has elements of {}, with which no network computes", shown(name), raw.element().name())
            }
            (0, []) => "no tensors".to_owned(),
            (1, _) => format!("one tensor, {}", parts.join("")),
            (n, _) => format!("{n} tensors: {}", parts.join(", ")),
        }
    }
}
