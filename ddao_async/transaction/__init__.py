"""Multi-document transactions."""
