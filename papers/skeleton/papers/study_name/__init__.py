"""A network that tells images with a bright spot from images without one."""
