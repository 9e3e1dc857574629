"""The command line `ddao-async`: one module per command, which turns arguments into library calls and prints."""
