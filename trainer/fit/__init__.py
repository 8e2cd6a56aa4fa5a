"""Training: the recipe, the open loop, the checkpoints, and pretraining."""
