"""Many transfers at once: the grid, the folder, its tables and its page."""
