"""What the studies share: data, metrics, networks, diffusion, training and replication."""
