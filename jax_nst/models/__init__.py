"""Feature extractors, VGG and wavelets, and their weights."""
