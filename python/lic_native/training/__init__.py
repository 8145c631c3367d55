"""Training loops and their data."""
