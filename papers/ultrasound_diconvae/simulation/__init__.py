"""Simulated fetal heads: anatomy as ellipses, seen by a curved array in pulse-echo ultrasound."""
