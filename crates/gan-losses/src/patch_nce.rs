//! Patch-wise contrastive loss.

use candle_core::{Result, Tensor, bail};
use gan_kernels::conv::{Conv2d, ConvGrads, conv2d, conv2d_backward};
use gan_kernels::weight::Weight;
use gan_layers::{MathMode, custom_grad};

/// What takes the place of a row's similarity to its own key among the negatives, before the temperature: the reference fills the diagonal with it.
const MASKED: f64 = -10.0;

/// The loss of every patch, `[N]` (Park et al., 2020; `PatchNCELoss` of contrastive-unpaired-translation): the cross-entropy of finding row `i` of the
/// keys among all keys of its group by its similarity to row `i` of the queries, at a temperature.
///
/// `queries` and `keys` are `[N, C]`, rows of length 1, and the rows of a group lie together: an image's, or all of a batch in one group. The keys are constants. The own key is counted
/// a second time among the negatives with a similarity of -10, as in the reference.
///
/// # Errors
/// Shapes or element types differ, `groups` does not divide `N`, or the type is unsupported.
pub fn patch_nce(queries: &Tensor, keys: &Tensor, groups: usize, temperature: f64) -> Result<Tensor> {
    let (n, _) = queries.dims2()?;
    if queries.dims() != keys.dims() || groups == 0 || n == 0 || !n.is_multiple_of(groups) {
        bail!("patch_nce: {groups} groups of queries {:?} and keys {:?}", queries.dims(), keys.dims())
    }
    let (q, k) = (queries.detach(), keys.detach());
    let part = |t: &Tensor, g: usize| t.narrow(0, g * (n / groups), n / groups);
    let group = |g: usize| Group::new(&part(&q, g)?, &part(&k, g)?, temperature);
    let groups = (0..groups).map(group).collect::<Result<Vec<_>>>()?;
    let losses = Tensor::cat(&groups.iter().map(|group| &group.losses).collect::<Vec<_>>(), 0)?;
    custom_grad(queries, losses, move |dy| {
        let slopes = Tensor::cat(&groups.iter().map(Group::slope).collect::<Result<Vec<_>>>()?, 0)?;
        slopes.broadcast_mul(&dy.unsqueeze(1)?)? * (1.0 / temperature)
    })
}

/// The patches that are compared with one another.
struct Group {
    keys: Tensor,
    losses: Tensor,
    /// `[1, key, 1, query]`: how probable it is that the key is the query's.
    probabilities: Tensor,
}

impl Group {
    fn new(q: &Tensor, k: &Tensor, temperature: f64) -> Result<Self> {
        let (p, c) = q.dims2()?;
        // The keys as the kernels of a 1x1 convolution over the queries: `[1, key, 1, query]`.
        let image = q.t()?.contiguous()?.reshape((1, c, 1, p))?;
        let logits = (conv2d(&image, &kernels(k)?, None, &pointwise())? * (1.0 / temperature))?;
        let own = ((q * k)?.sum(1)? * (1.0 / temperature))?;
        let masked = MASKED / temperature;
        // The largest logit of each query, the masked one included.
        let largest = ((logits.max_keepdim(1)? - masked)?.relu()? + masked)?;
        let odds = logits.broadcast_sub(&largest)?.exp()?;
        let sum = (odds.sum_keepdim(1)? + largest.affine(-1.0, masked)?.exp()?)?;
        let losses = ((sum.log()? + largest)?.reshape(p)? - own)?;
        Ok(Group { keys: k.clone(), losses, probabilities: odds.broadcast_div(&sum)? })
    }

    /// The gradient of each loss by its query, times the temperature: the expected key less the own one.
    fn slope(&self) -> Result<Tensor> {
        let (p, c) = self.keys.dims2()?;
        let grads = ConvGrads { input: Some((1, p)), ..ConvGrads::default() };
        let expected = conv2d_backward(&self.probabilities, &kernels(&self.keys)?, &pointwise(), grads)?;
        let Some(expected) = expected else { bail!("patch_nce: a convolution without the gradient of its input") };
        expected.reshape((c, p))?.t()? - &self.keys
    }
}

/// Keys `[P, C]` as kernels `[P, C, 1, 1]`.
fn kernels(keys: &Tensor) -> Result<Weight> {
    Ok(Weight::constant(keys.contiguous()?.unsqueeze(2)?.unsqueeze(3)?))
}

/// Similarities are divided by a small temperature, which magnifies what TF32 would round away.
fn pointwise() -> Conv2d {
    Conv2d { math: MathMode { tf32: false, deterministic: true }, ..Conv2d::default() }
}
