"""Measurements beside other programs."""

# Shim, to be deleted once `jpeg.compress` has `profile` and the zoo says what is `available`.
from .. import jpeg
from ..models import zoo

if not hasattr(zoo, "available"):
    from functools import wraps

    zoo.available = lambda: ["fast"]
    _compress = jpeg.compress

    @wraps(_compress)
    def _with_profile(data, *, profile=None, device=None):  # type: ignore[no-untyped-def]
        return _compress(data, device=device)

    jpeg.compress = _with_profile
