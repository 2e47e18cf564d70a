"""Portraits, and what an operation would make of them by a warp of known displacement."""
