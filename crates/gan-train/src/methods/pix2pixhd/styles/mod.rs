//! Finding styles: instance features that the trained encoder sees in the training set, clustered by label.

mod collect;
mod kmeans;

pub use collect::{LabelStyles, StyleReport, encode_features, encoded_data};
