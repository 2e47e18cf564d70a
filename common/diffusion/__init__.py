"""Denoising diffusion: schedule, samplers, guidance, the sampling loop."""
