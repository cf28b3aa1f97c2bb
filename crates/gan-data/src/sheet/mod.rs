//! Items of a dataset as people see them, and sheets of them.

mod glyphs;
mod layout;
mod shown;

pub use self::layout::{Legend, Sheet, SheetItem, contact_sheet};
pub use self::shown::{ShownImage, ShownItem, show_item, spread, whole_images};
