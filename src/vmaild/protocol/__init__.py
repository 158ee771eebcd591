"""Wire protocols, pure (sans-IO): bytes <-> events."""
