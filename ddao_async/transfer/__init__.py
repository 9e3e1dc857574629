"""Import and export: sources, journal, progress."""
