//! A pickle interpreter that can build state dicts and nothing else.
//!
//! A pickle is a program for a stack machine. Python's machine imports and calls whatever the program names; this one
//! knows the [`globals`] of a state dict, which it interprets itself, and refuses a program at the first other name.
//! It has no recursion: containers live in one arena and refer to each other by index, so that nesting, cycles and
//! repeated references cost nothing when they are read, walked or dropped.

mod globals;
mod machine;
mod op;
mod rebuild;
mod value;

pub(super) use machine::{Pickle, run};
pub(super) use value::{Heap, StorageRef, TensorRef, Value};
