//! What the networks are made of: layers, sequences, segments, the forward context and the parameter store.
