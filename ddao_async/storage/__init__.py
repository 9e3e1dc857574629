"""Bytes by key: one protocol, and the stores that speak it."""
