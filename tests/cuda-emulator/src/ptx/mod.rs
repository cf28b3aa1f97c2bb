//! Reading PTX text: a module's index ([`Module`]) and the statements of one function ([`body::parse`]).

pub mod body;
pub mod cursor;
pub mod module;

pub use body::{Arg, Stmt};
pub use module::{Function, Module, Variable};
