"""From an experiment file to a verdict: configs, runs, claims, manifests, comparisons."""
