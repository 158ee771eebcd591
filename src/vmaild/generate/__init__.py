"""Configuration text for other programs, pure."""
