"""Data sets: building, checking, hashing and loading."""
