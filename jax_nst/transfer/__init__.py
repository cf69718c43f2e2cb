"""One transfer: settings, targets, the loop, and the Python API of one picture."""
