//! Tensor operators for image-to-image networks, forward and backward, on candle tensors.
