//! Directed rounding, and flushing of subnormal numbers.

/// A rounding mode of floating-point results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To nearest, ties to even.
    Nearest,
    /// Towards zero.
    Zero,
    /// Down.
    Down,
    /// Up.
    Up,
}

impl Round {
    /// The mode that a list of modifiers names (nearest if none does).
    pub fn of(mods: &[&str]) -> Self {
        mods.iter()
            .find_map(|&modifier| match modifier {
                "rz" => Some(Self::Zero),
                "rm" => Some(Self::Down),
                "rp" => Some(Self::Up),
                _ => None,
            })
            .unwrap_or(Self::Nearest)
    }
}

/// The f32 for `sum + rest`, where `rest` is what the f64 `sum` lacks from the exact value (only its sign counts).
pub fn round_f32(sum: f64, rest: f64, mode: Round) -> f32 {
    let near = sum as f32;
    if mode == Round::Nearest || !sum.is_finite() || (near == 0.0 && sum == 0.0) {
        return near;
    }
    let wide = f64::from(near);
    let above = wide > sum || (wide == sum && rest < 0.0);
    let below = wide < sum || (wide == sum && rest > 0.0);
    let mode = match mode {
        Round::Zero if sum > 0.0 => Round::Down,
        Round::Zero => Round::Up,
        other => other,
    };
    match mode {
        Round::Down if above => near.next_down(),
        Round::Up if below => near.next_up(),
        _ => near,
    }
}

/// `a + b` without loss: the rounded sum and what it lacks.
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a · b + c`, rounded to f32 once.
pub fn fma_f32(a: f32, b: f32, c: f32, mode: Round) -> f32 {
    if mode == Round::Nearest {
        return a.mul_add(b, c);
    }
    let (sum, rest) = two_sum(f64::from(a) * f64::from(b), f64::from(c));
    round_f32(sum, rest, mode)
}

/// `a · b`, rounded to f32 once.
pub fn mul_f32(a: f32, b: f32, mode: Round) -> f32 {
    round_f32(f64::from(a) * f64::from(b), 0.0, mode)
}

/// `a + b`, rounded to f32 once.
pub fn add_f32(a: f32, b: f32, mode: Round) -> f32 {
    let (sum, rest) = two_sum(f64::from(a), f64::from(b));
    round_f32(sum, rest, mode)
}

/// `a + b`, rounded to f64 towards zero.
pub fn add_f64_to_zero(a: f64, b: f64) -> f64 {
    match two_sum(a, b) {
        (sum, rest) if sum > 0.0 && rest < 0.0 => sum.next_down(),
        (sum, rest) if sum < 0.0 && rest > 0.0 => sum.next_up(),
        (sum, _) => sum,
    }
}

/// Zero (with its sign) for a subnormal number.
pub fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}

/// Into `[0, 1]`; NaN becomes 0.
pub fn saturate(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}
