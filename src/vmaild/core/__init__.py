"""The rules, pure: no file, socket, clock, random number or log is touched here."""
