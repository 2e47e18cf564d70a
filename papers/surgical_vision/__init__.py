"""Faces before and after surgery: eighteen image-to-image models compared (SurgicalVisionAI)."""
