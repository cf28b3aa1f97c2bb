//! Datasets, decoding and loading through the public functions. One program, because each program of tests is linked with everything.
#![allow(clippy::unwrap_used)]

mod augmentation;
mod cache;
mod channels;
mod datasets;
mod decode;
mod encode;
mod gif;
mod inspect;
mod loading;
mod pairs;
mod planes;
mod resample_golden;
mod rows;
mod synth;
mod tiff;
mod whole;
