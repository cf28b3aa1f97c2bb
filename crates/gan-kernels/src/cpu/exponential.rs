//! Exponential functions without branches, so that loops over them become vector instructions.

/// `(2ⁿ, eʳ − 1)` with `x = n ln 2 + r` and |r| ≤ ln 2 / 2, for |x| ≤ 80; NaN stays NaN.
#[inline(always)]
fn split(x: f32) -> (f32, f32) {
    // Adding 1.5 · 2^23 leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with trailing zeros: n times it is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * HIGH) - n * LOW;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    // The series of (eʳ − 1 − r) / r²; the next term is below 1e-8.
    let mut series = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * r + c;
    }
    (power, r + r * r * series)
}

/// `eˣ − 1` for |x| ≤ 80, to about two units in the last place.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    let (power, rest) = split(x);
    power * rest + (power - 1.0)
}

/// `e^−|x|`, to about two units in the last place; below `e^−80` it stays there. NaN stays NaN.
#[inline(always)]
pub(crate) fn decay(x: f32) -> f32 {
    let x = -x.abs();
    let (power, rest) = split(if x < -80.0 { -80.0 } else { x });
    power * rest + power
}

/// `ln(1 + x)` for x in [0, 1], to about two units in the last place.
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    // 2 artanh s with s = x / (2 + x) ≤ 1/3; the next term is below 1e-8.
    let s = x / (2.0 + x);
    let square = s * s;
    let mut series = 1.0 / 13.0;
    for c in [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0] {
        series = series * square + c;
    }
    2.0 * (s + s * square * series)
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

    #[test]
    fn decay_and_logarithm_are_close_everywhere() {
        for i in 0..=79_000i32 {
            let x = i as f32 * 1e-3;
            let (got, exact) = (f64::from(decay(x)), (-f64::from(x)).exp());
            assert!((got - exact).abs() <= 4e-7 * exact, "e^-{x}: {got}, not {exact}");
            assert_eq!(decay(-x), decay(x));
        }
        for i in 0..=100_000i32 {
            let x = i as f32 * 1e-5;
            let (got, exact) = (f64::from(ln_1p(x)), f64::from(x).ln_1p());
            assert!((got - exact).abs() <= 4e-7 * exact, "ln(1 + {x}): {got}, not {exact}");
        }
        assert!(decay(f32::INFINITY) < 1e-30 && decay(f32::NAN).is_nan());
    }
}
