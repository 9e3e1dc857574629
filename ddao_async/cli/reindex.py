"""
`ddao-async reindex`: builds the indexes of a table, or checks and repairs them.
"""
