"""Despeckling of fetal ultrasound and its effect on segmentation."""
