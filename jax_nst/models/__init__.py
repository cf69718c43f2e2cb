"""Feature extractors: VGG, wavelets, and where their weights come from."""
