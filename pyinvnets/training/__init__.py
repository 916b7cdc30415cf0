"""Training: the loop, its objective, batches, optimisers, history and checkpoints."""
