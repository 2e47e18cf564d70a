"""The replicated studies, one folder each; ``python -m papers`` is the command line."""
