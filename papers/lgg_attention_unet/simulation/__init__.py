"""Simulated brain tumor patients: whole heads around the MNI152 brain, tumors in some."""
