"""The vmail command: parse, call, print."""
