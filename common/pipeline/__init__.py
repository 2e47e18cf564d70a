"""Doing it: from the words of a command to units of training, stages, drawing, verification."""
