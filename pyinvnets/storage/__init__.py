"""What is on disk: weights, BSON files of Julia, arrays of samples, and networks as text."""
