"""One file a paper, and the registry of shipped weights."""

__all__: list[str] = []
