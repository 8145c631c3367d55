"""One file a paper, and the registry of shipped weights."""
