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
