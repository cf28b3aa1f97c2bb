//! The commands of `cargo xtask`. One program, because each program of tests is linked with everything.
#![allow(clippy::unwrap_used)]

mod check_command;
mod cuda_toolchain_command;
mod dist_command;
mod fetch_command;
