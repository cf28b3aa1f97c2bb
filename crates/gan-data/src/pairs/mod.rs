//! Making, joining and dividing paired datasets.

mod canny;
mod combine;
mod degrade;
mod labels;
mod split;

pub use self::canny::{Canny, canny_edges};
pub(crate) use self::combine::beside;
pub use self::combine::{Written, combine, separate, side_by_side};
pub use self::degrade::{PairInput, PairRecipe, make_pairs};
pub use self::labels::label_maps;
pub use self::split::{SplitCounts, SplitRatio, SplitSizes, split};
