"""Training loops and their data."""

from ..models import zoo

__all__: list[str] = []

# In one line, where a command asks for a training.
zoo.need_torch("training")
