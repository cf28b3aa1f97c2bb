//! What the processes of one training run, its ranks, say to one another.
//!
//! Every call of a [`Communicator`] is collective: all ranks make the same calls in the same order. Nothing is reduced on
//! the way. What is added up is added by [`OrderedSum`] in the order of the ranks, so that results have the same bits for every
//! number of ranks.

mod communicator;
mod error;
mod launch;
#[cfg(feature = "mpi")]
pub mod mpi;
#[cfg(feature = "nccl")]
pub mod nccl;
mod ordered_sum;
pub mod rendezvous;
mod single;
pub mod tensors;
pub mod threads;

pub use communicator::{Communicator, Exchange};
pub use error::{Error, Result};
pub use launch::{Launch, Launcher};
pub use ordered_sum::OrderedSum;
pub use single::Single;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
