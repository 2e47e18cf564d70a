"""Simulated brain tumour patients: whole heads around the MNI152 brain, tumours in some."""
