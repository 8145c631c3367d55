"""Training loops and their data."""

from ..models import registry

__all__: list[str] = []

# In one line, where a command asks for a training.
registry.need_torch("training")
