"""Stable Diffusion 1.5 with ControlNet and LoRA; equal to diffusers 0.42.1."""
