"""Attention U-Net for lower-grade glioma on MRI."""
