"""Carries out what routing decided."""
