"""Published networks and their weights: fetched as data, read without running a pickle."""
