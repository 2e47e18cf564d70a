"""The classifier whose F1 synthetic films are to raise, and the arms that are compared."""
