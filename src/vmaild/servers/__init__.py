"""Pumps between sockets and protocols."""
