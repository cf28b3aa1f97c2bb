//! Datasets and weights by name: downloads that resume, are checked, and appear whole or not at all.
