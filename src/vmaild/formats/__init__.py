"""Configuration files, pure: text <-> values."""
