"""One transfer: settings, targets, the engine, and the Python API of one picture."""
