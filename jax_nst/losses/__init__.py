"""The losses and the objective."""
