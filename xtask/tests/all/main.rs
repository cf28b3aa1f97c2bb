//! The commands of `cargo xtask`. One program, because each program of tests is linked with everything.
#![allow(clippy::unwrap_used)]

mod check_command;
mod cuda_toolchain_command;
mod fetch_archives;
mod fetch_bounds;
mod fetch_command;
mod fetch_resume;
mod fetch_transfer;
mod support;
