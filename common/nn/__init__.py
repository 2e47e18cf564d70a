"""Network parts: layers that are fast on every backend, prediction, and weights by name."""
