"""vmaild: many independent mail domains on one machine."""

__version__ = "0.1.0"
