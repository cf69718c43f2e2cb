"""Process and machine: memory, files, compilation cache, several processes."""
