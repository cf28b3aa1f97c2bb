//! U-Net generators of 4x4 convolutions.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use gan_layers::NormKind;

use super::words::{is_bottleneck, role};
use super::{Change, Layer, Matched, alike, convs, norms};
use crate::infer::Assumptions;
use crate::{Arch, GeneratorConfig, Padding, UnetLayout};

/// A U-Net of these layers.
pub(super) fn find(layers: &[Layer<'_>], assumptions: &Assumptions) -> Option<Matched> {
    let in_file = convs(layers);
    let mut by_role = in_file.clone();
    by_role.sort_by_key(|(at, _)| role(layers[*at].path));
    let halves = [in_file, by_role].iter().find_map(|order| Halves::of(order))?;
    let inner = halves.in_front_of_norms();
    let places: Vec<usize> = inner.iter().map(|(conv, _)| *conv).collect();
    if !alike(&places, layers) || layers.iter().any(|layer| layer.filter().is_some()) {
        return None;
    }
    let norms = norms::of(&inner, layers)?;
    let (norm, mut notes) = norms::kind(&norms, layers)?;
    let layout = assumptions.unet_layout.map_or_else(|| halves.layout(norm, layers), Some)?;
    let down_padding = assumptions.down_padding.unwrap_or_else(|| halves.down_padding(layers));
    // Nested levels are the reference's; implementations with a flat list put the features from below first.
    let skip_first = assumptions.skip_first.unwrap_or_else(|| halves.nest(layers));
    let assumed: Vec<String> = [
        assumptions.unet_layout.is_none().then(|| format!("unet_layout = {}", layout.name())),
        assumptions.down_padding.is_none().then(|| format!("down_padding = {}", down_padding.name())),
        assumptions.skip_first.is_none().then(|| format!("skip_first = {skip_first}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !assumed.is_empty() {
        notes.push(format!("what its tensors do not tell is assumed from its names: {}", assumed.join(", ")));
    }
    let num_downs = halves.downs.len();
    let config = GeneratorConfig {
        arch: match num_downs {
            8 => Arch::Unet256,
            7 => Arch::Unet128,
            _ => Arch::Unet,
        },
        input_nc: halves.input_nc,
        output_nc: halves.output_nc,
        ngf: halves.ngf,
        norm,
        num_downs,
        unet_layout: layout,
        down_padding,
        ..GeneratorConfig::default()
    };
    if halves.resizes_last != layout.resizes_last() {
        return None;
    }
    let sequence = halves.sequence(&norms);
    let changes = halves.changes(skip_first);
    Some(Matched { config, sequence, norms, keeps_bias: false, changes, notes })
}

/// The convolutions in the order in which they run.
struct Halves {
    downs: Vec<usize>,
    ups: Vec<usize>,
    input_nc: usize,
    output_nc: usize,
    ngf: usize,
    /// Whether the last one is no transposed convolution.
    resizes_last: bool,
}

impl Halves {
    /// Halvings from the outermost on, then doublings from the innermost on, told by their shapes.
    fn of(convs: &[(usize, [usize; 3])]) -> Option<Self> {
        let num_downs = convs.len() / 2;
        let (downs, ups) = convs.split_at(num_downs);
        if convs.len() % 2 == 1 || !(5..=16).contains(&num_downs) || convs.iter().any(|(_, [.., side])| *side != 4) {
            return None;
        }
        let [ngf, input_nc, _] = downs[0].1;
        let width = |level: usize| ngf << level.min(3);
        let narrows = |level: usize| downs[level].1 == [width(level), width(level - 1), 4];
        let widens = |at: usize| {
            let level = num_downs - 1 - at;
            let joined = if at == 0 { 1 } else { 2 };
            ups[at].1 == [joined * width(level), width(level - 1), 4]
        };
        if !(1..num_downs).all(narrows) || !(0..num_downs - 1).all(widens) {
            return None;
        }
        let (output_nc, resizes_last) = match ups[num_downs - 1].1 {
            [inputs, outputs, _] if inputs == 2 * ngf => (outputs, false),
            [outputs, inputs, _] if inputs == 2 * ngf => (outputs, true),
            _ => return None,
        };
        let places = |convs: &[(usize, [usize; 3])]| convs.iter().map(|(at, _)| *at).collect();
        Some(Halves { downs: places(downs), ups: places(ups), input_nc, output_nc, ngf, resizes_last })
    }

    /// Convolutions that a norm follows, with the channels that they put out.
    fn in_front_of_norms(&self) -> Vec<(usize, usize)> {
        let width = |level: usize| self.ngf << level.min(3);
        let last = self.downs.len() - 1;
        let downs = (1..last).map(|level| (self.downs[level], width(level)));
        let ups = (0..last).map(|at| (self.ups[at], width(last - 1 - at)));
        downs.chain(ups).collect()
    }

    /// Whether each level is inside of the one above.
    fn nest(&self, layers: &[Layer<'_>]) -> bool {
        let depth = |conv: usize| layers[conv].path.split('.').count();
        self.downs.windows(2).all(|pair| depth(pair[0]) < depth(pair[1]))
    }

    /// Where activations and biases are, as far as names and biases tell.
    fn layout(&self, norm: NormKind, layers: &[Layer<'_>]) -> Option<UnetLayout> {
        let (middle, up, innermost) = (&layers[self.downs[1]], &layers[self.ups[1]], self.downs[self.downs.len() - 1]);
        // Numbers in a list of convolutions are no places in a sequence.
        let listed = middle.parent() == layers[self.downs[2]].parent();
        let behind = match (up.index(), middle.index()) {
            _ if self.nest(layers) => false,
            (Some(0), _) if !listed => true,
            (Some(1), _) if !listed => false,
            // A convolution with a name of its own: in a block, the rest follows it; else activations are function calls, which
            // stand in front.
            _ => !listed,
        };
        let biased = [self.downs[0], innermost].iter().any(|&conv| layers[conv].has("bias"));
        match (behind, self.resizes_last) {
            (true, true) => Some(UnetLayout::PostActivationResize),
            (true, false) if is_bottleneck(layers[innermost].path) => Some(UnetLayout::PostActivationRelu),
            (true, false) => Some(UnetLayout::PostActivation),
            (false, true) => None,
            (false, false) if biased && !norm.is_instance() => Some(UnetLayout::Biased),
            (false, false) => Some(UnetLayout::Reference),
        }
    }

    /// How halvings pad, where the names are those of a repository (Machine-Learning-Collection mirrors borders).
    fn down_padding(&self, layers: &[Layer<'_>]) -> Padding {
        let has = |path: &str| layers.iter().any(|layer| layer.path == path);
        let mirrors = ["initial_down.0", "down1.conv.0", "bottleneck.0", "final_up.0"].iter().all(|path| has(path));
        if mirrors { Padding::Reflect } else { Padding::Zero }
    }

    /// All layers in the order in which they run.
    fn sequence(&self, norms: &HashMap<usize, usize>) -> Vec<usize> {
        let with_norm = |conv: &usize| [Some(*conv), norms.get(conv).copied()].into_iter().flatten();
        self.downs.iter().chain(&self.ups).flat_map(with_norm).collect()
    }

    /// The weights that see two halves of inputs in another order than here, or that are merged with an upsampling.
    fn changes(&self, skip_first: bool) -> HashMap<usize, Change> {
        let joined = self.ups.iter().skip(1).filter(|_| !skip_first);
        let mut changes: HashMap<usize, Change> = joined.map(|&conv| (conv, Change::Swap(0))).collect();
        if let (true, Some(&last)) = (self.resizes_last, self.ups.last()) {
            changes.insert(last, Change::Merge { swap: !skip_first });
        }
        changes
    }
}

/// One transposed convolution `[I, O, 6, 6]` of stride 2 and padding 2 for nearest upsampling and a convolution `[O, I, 4, 4]` with a
/// padding of two rows in front and one behind.
pub(super) fn merged(weight: &Tensor) -> Result<Tensor> {
    // Rows: taps of the transposed kernel; columns: those of the convolution. Pixels of a pair see the same input.
    const TAPS: [[f64; 4]; 6] =
        [[0., 0., 0., 0.], [0., 0., 0., 1.], [0., 0., 1., 1.], [0., 1., 1., 0.], [1., 1., 0., 0.], [1., 0., 0., 0.]];
    let (outputs, inputs, height, width) = weight.dims4()?;
    let taps = Tensor::new(&TAPS, &Device::Cpu)?.t()?;
    let along = |rows: Tensor| rows.contiguous()?.matmul(&taps);
    let wide = weight.to_dtype(DType::F64)?.reshape((outputs * inputs * height, width))?;
    let wide = along(wide)?.reshape((outputs * inputs, height, 6))?.transpose(1, 2)?;
    let whole =
        along(wide.reshape((outputs * inputs * 6, height))?)?.reshape((outputs * inputs, 6, 6))?.transpose(1, 2)?;
    whole.reshape((outputs, inputs, 6, 6))?.transpose(0, 1)?.contiguous()?.to_dtype(weight.dtype())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_upsampling_and_a_convolution_are_one_transposed_convolution() {
        let numbers = |count: usize, dims: &[usize]| {
            let values: Vec<f64> = (0..count).map(|i| (1.7 * i as f64).sin()).collect();
            Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
        };
        let (x, weight) = (numbers(2 * 3 * 5, &[1, 2, 3, 5]), numbers(3 * 2 * 16, &[3, 2, 4, 4]));
        let wide = x.upsample_nearest2d(6, 10).unwrap();
        let wide = wide.pad_with_zeros(2, 2, 1).unwrap().pad_with_zeros(3, 2, 1).unwrap();
        let expected = wide.conv2d(&weight, 0, 1, 1, 1).unwrap();
        let got = x.conv_transpose2d(&merged(&weight).unwrap(), 2, 0, 2, 1).unwrap();
        assert_eq!(got.dims(), expected.dims());
        let worst = (got - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(worst < 1e-12, "{worst}");
    }
}
