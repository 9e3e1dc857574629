"""Thin glue to frameworks."""
