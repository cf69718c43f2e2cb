"""The optimizers and the step that drives the pixels."""
