//! Errors of the crates as Python's exceptions, with their own words.

use gan_translate::device::is_out_of_memory;
use gan_translate::{Elsewhere, Error as TranslateError};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::error::Error;
use std::io;

/// The classes in `gan_translate.errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The base, for what is nobody's input: a device, a file that cannot be read.
    Error,
    /// Also a `ValueError`.
    InvalidInput,
    /// Also a `FileNotFoundError`.
    NotFound,
    /// Also a `MemoryError`.
    TooLittleMemory,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::Error => "Error",
            Class::InvalidInput => "InvalidInput",
            Class::NotFound => "NotFound",
            Class::TooLittleMemory => "TooLittleMemory",
        }
    }

    fn of(error: &(dyn Error + 'static)) -> Self {
        let causes = || std::iter::successors(Some(error), |error| Error::source(*error));
        if causes().any(is_out_of_memory) {
            return Class::TooLittleMemory;
        }
        let io = causes().find_map(|cause| cause.downcast_ref::<io::Error>());
        if let Some(io) = io {
            return if io.kind() == io::ErrorKind::NotFound { Class::NotFound } else { Class::Error };
        }
        match causes().find_map(|cause| cause.downcast_ref::<TranslateError>()) {
            Some(TranslateError::NoModel {
                elsewhere: Elsewhere::Nothing | Elsewhere::OtherCheckpoints { .. },
                ..
            }) => Class::NotFound,
            Some(TranslateError::TooLittleMemory { .. }) => Class::TooLittleMemory,
            Some(TranslateError::Device(_) | TranslateError::Tensor(_)) => Class::Error,
            _ => Class::InvalidInput,
        }
    }
}

/// The exception for an error of a crate.
pub(crate) fn raised(error: impl Error + 'static) -> PyErr {
    let class = Class::of(&error);
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        // Transparent wrappers repeat their source.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = source.source();
    }
    exception(class, text)
}

/// A `ValueError` with these words.
pub(crate) fn invalid(text: impl Into<String>) -> PyErr {
    exception(Class::InvalidInput, text.into())
}

/// An error of no other class, with these words.
pub(crate) fn other(text: impl Into<String>) -> PyErr {
    exception(Class::Error, text.into())
}

fn exception(class: Class, text: String) -> PyErr {
    Python::attach(|py| {
        let made = py.import("gan_translate.errors").and_then(|module| module.getattr(class.name())?.call1((&text,)));
        made.map_or_else(|_| PyImportError::new_err(text), PyErr::from_value)
    })
}
