"""Synthetic chest films for a rare class, and whether they help a classifier."""
