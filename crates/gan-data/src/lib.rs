//! Decoding, datasets, transforms and loading of images for image-to-image translation.
