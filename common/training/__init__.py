"""What a training loop calls: random streams, data parallelism, checkpoints, metric log."""
