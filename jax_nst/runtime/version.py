"""The version of the package; its distributions take theirs from here."""

__version__ = "0.1.0"
