//! Generators, discriminators and encoders of pix2pix, pix2pixHD and CycleGAN.
