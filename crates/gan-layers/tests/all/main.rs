//! Layers and sequences through the public functions. One program, because each program of tests is linked with everything.
#![allow(clippy::unwrap_used)]

mod antialias;
mod bands;
mod branches;
mod fold;
mod gradients;
mod jvp;
mod kinds;
mod labels;
mod linear;
mod network;
mod norms;
mod optimizer;
mod padding;
mod parameters;
mod precision;
mod samples;
mod segments;
mod statistics;
mod taps;
mod upsample;
