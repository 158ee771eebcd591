"""Delivery: carries out what routing decided."""
