"""What draws films: a latent diffusion model with a ControlNet, trained here or adapted."""
