//! Features of files.
