"""What the desk's command line does."""
