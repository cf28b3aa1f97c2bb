//! The `.pth` reader and writer from outside: files of PyTorch itself (made by `fixtures/make_pth.py`), files built
//! here byte by byte, and damage of every sort.

#![allow(clippy::unwrap_used)]

mod build;
mod damage;
mod fixtures;
mod hostile;
mod opaque;
mod round_trip;
mod zip;
