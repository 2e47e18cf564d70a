"""Metrics: pure functions matched against the references that the studies used."""
