//! The layer kinds, one file each. A new one is a file with everything about it and a line here.

pub mod act;
pub mod avg_pool;
pub mod blur_pool;
pub mod blur_upsample;
pub mod branches;
pub mod conv;
pub mod conv_transpose;
pub mod dropout;
pub mod identity;
pub mod linear;
pub mod max_pool;
pub mod nested;
pub mod norm;
pub mod observed_norm;
pub mod pad;
pub mod residual;
pub mod skip;
pub mod upsample;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{conv::Conv, conv::ConvSpec, conv_transpose::ConvTranspose, linear::pointwise};
    use crate::plan::Fused;
    use crate::{Builder, Ctx, MathMode, SequenceBuilder};

    #[test]
    fn convolutions_compute_as_the_context_of_their_pass_says() {
        let spec = ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 1, padding: 1, bias: false };
        let s = SequenceBuilder::new(Builder::shapes_only()).conv(spec).unwrap();
        let net = s.conv_transpose(spec, 0).unwrap().finish();
        let conv: &Conv = net.nodes()[0].layer.get().unwrap();
        let transposed: &ConvTranspose = net.nodes()[1].layer.get().unwrap();
        for (tf32, deterministic) in [(true, false), (false, true), (false, false)] {
            let math = MathMode { tf32, deterministic };
            let ctx = Ctx { math, ..Ctx::translate() };
            assert_eq!(conv.spec(&Fused::default(), ctx.math).math, math);
            assert_eq!(transposed.spec(ctx.math).math, math);
            assert_eq!(pointwise(&ctx).math, math);
        }
    }
}
