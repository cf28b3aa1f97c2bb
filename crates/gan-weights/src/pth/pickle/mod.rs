//! A pickle interpreter that can build state dicts and nothing else.
//!
//! A pickle is a program for a stack machine. Python's machine imports and calls whatever the program names; this one
//! knows the [`globals`] of a state dict, which it interprets itself. Every other name becomes a placeholder, which is
//! neither imported nor called and keeps no more than its name and what is set on it. Names by which a program would take
//! hold of a machine ([`inert`]) refuse the file: Python would run it, and that is worth knowing.
//! It has no recursion: containers live in one arena and refer to each other by index, so that nesting, cycles and
//! repeated references cost nothing when they are read, walked or dropped.

mod globals;
mod inert;
mod machine;
mod op;
mod rebuild;
mod value;

pub(super) use globals::{Element, forbidden};
pub(super) use machine::{Pickle, run};
pub(super) use value::{Heap, StorageRef, TensorRef, Value};
