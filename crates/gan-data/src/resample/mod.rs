//! Resizing, bit-exact with Pillow: the images a network was trained on are the images it gets to see.
//!
//! Shrinking is antialiased: the filter is widened by the scale. Horizontal pass first, its result rounded to 8 bits,
//! then the vertical pass; a pass that does not change the size is skipped. (Up to version 12 Pillow always does so, and
//! published networks were trained with those. Version 13 runs the vertical pass first where the height shrinks much
//! more than the width, which changes some levels.)

mod coefficients;
mod lanes;
mod nearest;
mod resize_f32;
mod resize_u16;
mod resize_u8;

use serde::{Deserialize, Serialize};

pub use self::nearest::resize_nearest;
pub use self::resize_f32::resize_f32;
pub use self::resize_u8::resize_u8;
pub use self::resize_u16::resize_u16;

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Nearest pixel; the only one for ids.
    Nearest,
    /// Triangle filter.
    Bilinear,
    /// Keys' cubic with a = -0.5.
    #[default]
    Bicubic,
}
