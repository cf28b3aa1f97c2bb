//! Train and run pix2pix, pix2pixHD and CycleGAN from the command line.
fn main() {}
