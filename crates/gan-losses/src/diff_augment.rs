//! Differentiable augmentation (Zhao et al., 2020): what a discriminator sees of real images and fakes is changed at random, and gradients
//! pass through the changes.

use candle_core::{Result, Tensor};
use gan_kernels::augment::{AugmentPass, augment, augment_backward};
use gan_layers::custom_grad;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A change of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Color,
    Translation,
    Cutout,
}

impl Change {
    const NAMES: [(&'static str, Change); 3] =
        [("color", Change::Color), ("translation", Change::Translation), ("cutout", Change::Cutout)];
}

/// Changes in the order in which they are made, as text `"color,translation,cutout"`; the empty text makes none.
///
/// - `color`: brightness, saturation and contrast;
/// - `translation`: by up to an eighth of the sides, zero (grey) outside;
/// - `cutout`: a box of half the sides is set to zero.
///
/// ```
/// use gan_losses::AugmentPolicy;
/// let policy: AugmentPolicy = "color,cutout".parse()?;
/// assert_eq!(policy.to_string(), "color,cutout");
/// assert!("colour".parse::<AugmentPolicy>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AugmentPolicy(Vec<Change>);

impl AugmentPolicy {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Images `[N, C, H, W]` in [-1, 1], changed under their [`draws`](gan_kernels::augment::draws); results are not clamped.
    /// The first `uncolored` channels, a condition, keep their colours and are moved and cut like the others. Differentiable.
    ///
    /// # Errors
    /// As [`gan_kernels::augment::augment`].
    pub fn apply(&self, x: &Tensor, draws: &Tensor, uncolored: usize) -> Result<Tensor> {
        self.passes(uncolored).into_iter().try_fold(x.clone(), |x, pass| {
            let y = augment(&x.detach(), draws, &pass)?;
            let draws = draws.clone();
            custom_grad(&x, y, move |dy| augment_backward(dy, &draws, &pass))
        })
    }

    /// The changes in as few passes as their order allows.
    fn passes(&self, uncolored: usize) -> Vec<AugmentPass> {
        let mut passes: Vec<AugmentPass> = Vec::new();
        // How far the last pass has come in its own order.
        let mut reached = None;
        for &change in &self.0 {
            if reached.is_none_or(|last| change as usize <= last) {
                passes.push(AugmentPass { uncolored, ..AugmentPass::default() });
            }
            reached = Some(change as usize);
            if let Some(pass) = passes.last_mut() {
                match change {
                    Change::Color => pass.color = true,
                    Change::Translation => pass.translation = true,
                    Change::Cutout => pass.cutout = true,
                }
            }
        }
        passes
    }
}

impl FromStr for AugmentPolicy {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut changes = Vec::new();
        for name in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let Some((_, change)) = Change::NAMES.iter().find(|(known, _)| *known == name) else {
                return Err(format!("`{name}` is no change; there are color, translation, cutout"));
            };
            if changes.contains(change) {
                return Err(format!("`{name}` stands twice in `{text}`"));
            }
            changes.push(*change);
        }
        Ok(AugmentPolicy(changes))
    }
}

impl fmt::Display for AugmentPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |change| Change::NAMES.iter().find(|(_, known)| known == change).map_or("", |(name, _)| name);
        f.write_str(&self.0.iter().map(name).collect::<Vec<_>>().join(","))
    }
}

impl TryFrom<String> for AugmentPolicy {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<AugmentPolicy> for String {
    fn from(policy: AugmentPolicy) -> String {
        policy.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn passes(text: &str) -> Vec<[bool; 3]> {
        let policy: AugmentPolicy = text.parse().unwrap();
        assert_eq!(policy.to_string(), text.replace(' ', ""));
        policy.passes(0).iter().map(|pass| [pass.color, pass.translation, pass.cutout]).collect()
    }

    #[test]
    fn a_policy_takes_few_passes() {
        assert!(passes("").is_empty());
        assert_eq!(passes("color, translation, cutout"), [[true, true, true]]);
        assert_eq!(passes("color,cutout"), [[true, false, true]]);
        assert_eq!(passes("translation,color"), [[false, true, false], [true, false, false]]);
        assert_eq!(passes("cutout,color,translation"), [[false, false, true], [true, true, false]]);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for (text, said) in [("colour", "no change"), ("color,,cutout", "no change"), ("color,color", "twice")] {
            let error = text.parse::<AugmentPolicy>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
