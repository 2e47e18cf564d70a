"""Simulated Cam-CAN: the MNI152 head made into people of any age and either sex."""
