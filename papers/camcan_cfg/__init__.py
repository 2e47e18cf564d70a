"""Conditional diffusion of brain MRI slices with classifier-free guidance (Cam-CAN)."""
