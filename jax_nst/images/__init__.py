"""Pictures: reading, writing, resizing, colours."""
