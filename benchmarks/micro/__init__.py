"""Small measurements of single parts, for who changes them."""
