"""Evidence and checks."""
