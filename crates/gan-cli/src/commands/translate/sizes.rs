//! The sizes at which images are translated.

use clap::ValueEnum;
use gan_data::Preprocess;
use gan_translate::SizeOptions;

#[derive(clap::Args)]
pub(super) struct SizeArgs {
    /// Resize and crop as the references do, and write the result in that size. Without it the result has the size of the
    /// input
    #[arg(long, value_enum)]
    preprocess: Option<PreprocessArg>,
    /// Side or width after resizing; without it --crop-size, for pix2pixHD the training's (1024)
    #[arg(long, value_name = "PIXELS", requires = "preprocess")]
    load_size: Option<usize>,
    /// Side after cropping; without it the training's (256, for pix2pixHD 512)
    #[arg(long, value_name = "PIXELS", requires = "preprocess")]
    crop_size: Option<usize>,
}

/// The references' values of `--preprocess` (pix2pixHD: `--resize_or_crop`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum PreprocessArg {
    /// To --load-size squared, then a crop of --crop-size squared
    ResizeAndCrop,
    /// A crop of --crop-size squared
    Crop,
    /// To the width --load-size, keeping the aspect, but at least --crop-size high, as the references do
    ScaleWidth,
    /// To the width --load-size, then a crop of --crop-size squared
    ScaleWidthAndCrop,
    /// To the nearest multiples that the references round to: 4, for pix2pixHD 16 or 32
    None,
}

impl SizeArgs {
    /// What is to happen to the images, if anything.
    pub(super) fn options(&self) -> Option<SizeOptions> {
        let preprocess = match self.preprocess? {
            PreprocessArg::ResizeAndCrop => Preprocess::ResizeAndCrop,
            PreprocessArg::Crop => Preprocess::Crop,
            PreprocessArg::ScaleWidth => Preprocess::ScaleWidth,
            PreprocessArg::ScaleWidthAndCrop => Preprocess::ScaleWidthAndCrop,
            PreprocessArg::None => Preprocess::None,
        };
        Some(SizeOptions { preprocess, load_size: self.load_size, crop_size: self.crop_size })
    }
}
