//! Exponential functions without branches, so that loops over them become vector instructions.

/// `eˣ − 1` for |x| ≤ 80, to about two units in the last place; NaN stays NaN.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    // x = n ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5 · 2^23 leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with trailing zeros: n times it is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * HIGH) - n * LOW;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    // The series of (eʳ − 1) / r; the next term is below 1e-8.
    let mut series = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * r + c;
    }
    power * (r + r * r * series) + (power - 1.0)
}

/// The hyperbolic tangent, to about three units in the last place; NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Beyond ±10 the result rounds to ±1. Written so that NaN passes.
    let x = if x > 10.0 { 10.0 } else { x };
    let x = if x < -10.0 { -10.0 } else { x };
    let e = exp_m1(2.0 * x);
    e / (e + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_everywhere() {
        let check = |x: f32| {
            let (got, exact) = (f64::from(tanh(x)), f64::from(x).tanh());
            assert!((got - exact).abs() <= 4e-7 * exact.abs(), "tanh {x}: {got}, not {exact}");
        };
        for i in -200_000..=200_000i32 {
            check(i as f32 * 1e-4);
        }
        for exponent in -40..3 {
            for sign in [-1.0, 1.0] {
                check(sign * 1.37 * 2f32.powi(exponent));
            }
        }
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert!(tanh(f32::NAN).is_nan());
    }
}
