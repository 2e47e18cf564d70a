"""Blocks of denoising U-Nets."""
