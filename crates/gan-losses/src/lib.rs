//! Losses of image-to-image translation: adversarial, L1, feature matching, perceptual.
