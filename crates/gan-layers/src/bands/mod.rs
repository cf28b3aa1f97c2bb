//! Evaluation of one image in bands of rows, in bounded memory: on the CPU with the bits of [`Sequence::forward`](crate::Sequence::forward).
//!
//! A [`Dataflow`] is a network written down value by value, as its layers answer it (`Op::trace`). Rows of a value are computed from rows of its inputs; only a
//! norm with the image's own statistics needs to know all of them. So an evaluation is a list of sweeps over the rows, one for each
//! such norm and one for the output, each from what the sweeps before have stored. A [`Plan`] says what is stored where and what is
//! computed again, before anything is computed; [`Dataflow::run`] follows it.

mod background;
mod dataflow;
mod engine;
mod plan;
mod resident;
mod run;
mod source;
mod store;
mod sweep;

pub use dataflow::{Dataflow, Size, Value};
pub use engine::Engine;
pub use plan::{Limits, Place, Plan, Rates};
pub use source::{Content, RowSource};
pub use store::{Scratch, ScratchFile};

pub(crate) use dataflow::Traced;
