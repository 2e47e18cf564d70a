"""Network parts: convolutions that are fast on every backend, and pretrained feature extractors."""
