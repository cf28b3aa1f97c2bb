//! Golden values: outputs of every network for weights and inputs that follow from a formula, as the references'
//! networks give them in PyTorch (F64), with parameter counts and multiply-adds.
#![allow(clippy::unwrap_used)]

mod counts;
mod discriminators;
mod fill;
mod generators;
