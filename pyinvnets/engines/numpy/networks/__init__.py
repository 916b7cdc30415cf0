"""What the NumPy engine computes, one family of networks a file, as `pyinvnets.networks` declares them."""
