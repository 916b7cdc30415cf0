"""What the NumPy engine's networks are made of."""
