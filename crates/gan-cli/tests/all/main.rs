//! The program, as its users meet it. One program, because each program of tests is linked with everything.
#![allow(clippy::unwrap_used)]

mod accumulation;
mod averages;
mod bad_input;
mod cli;
mod colorization;
mod config;
mod crash;
mod dataset_commands;
mod documented;
mod evaluate;
mod files_in_files_out;
mod fine_tuning;
mod foreign_networks;
mod foreign_weights;
mod full_screen;
mod images;
mod interchange;
mod limits;
mod logs;
mod max_memory;
mod ranges;
mod run_folder;
mod signals;
mod styles;
mod support;
mod terminal;
mod training;
mod translate_io;
mod validation;
