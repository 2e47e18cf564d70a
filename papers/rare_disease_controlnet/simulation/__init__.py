"""Simulated chest films: a labeled CT seen by X-rays, its anatomy varied, and findings put in."""
