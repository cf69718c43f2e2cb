"""The process and the machine: memory, platform, files, compiled programs, several processes."""
