//! Trained generators as ONNX files and model folders.
