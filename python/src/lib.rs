//! The native half of the Python package `gan_translate`: arrays in, arrays out. What it computes is in the crates; here is what Python
//! asks for, and nothing that trains.

mod arrays;
mod errors;
mod evaluate;
mod model;
mod open;
mod read_pth;
mod threads;

use pyo3::prelude::*;

/// Tensors of one translation are those of the next: the allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::evaluate::evaluate;
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::read_pth::read_weights;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
