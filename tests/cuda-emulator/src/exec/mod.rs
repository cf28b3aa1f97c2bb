//! Running a kernel: [`launch`] spreads blocks over threads, [`block`] runs the warps of one, [`warp`] the instructions.

mod access;
mod block;
mod grid;
mod races;
pub mod regs;
mod together;
mod warp;

pub use grid::{Launch, launch};
