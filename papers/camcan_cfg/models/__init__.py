"""The networks of the study: the denoising U-Net and the brain-age regressor."""
