//! Making, joining and dividing paired datasets.

mod canny;
mod combine;
mod degrade;
mod split;

pub use self::canny::{Canny, canny_edges};
pub(crate) use self::combine::beside;
pub use self::combine::{Written, combine, separate};
pub use self::degrade::{PairInput, make_pairs};
pub use self::split::{SplitRatio, split};
