"""Faces of nobody, before and after an operation: rendered heads whose ground truth is exact."""
