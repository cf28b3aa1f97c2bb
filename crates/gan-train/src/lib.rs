//! Methods (pix2pix, pix2pixHD, CycleGAN), the trainer, run folders and checkpoints.
