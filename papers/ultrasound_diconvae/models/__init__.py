"""The denoiser and the segmenter."""
