"""The classes of `compressai.ans` on lic_native's coder, and a switch that makes CompressAI's models use it.

    from lic_native.compat.compressai import BufferedRansEncoder, RansDecoder, RansEncoder

    with lic_native.compat.compressai.use(model):
        strings = model.compress(x)["strings"]

The classes take the arguments of CompressAI's classes. Symbols, indexes, sizes and offsets are lists, NumPy arrays or
torch tensors of integers; CDFs are a list of lists, an array or a tensor. The last interval of a CDF is the escape,
which codes any integer of 32 bits. CDFs of other precisions than 15 bits, such as CompressAI's 16, are converted.

The bytes are not CompressAI's: neither can read a stream of the other. A stream is a raw rANS stream
(section 5 of docs/format.md) without a checksum.
"""

from .coder import BufferedRansEncoder, RansDecoder, RansEncoder
from .use import use

__all__ = ["BufferedRansEncoder", "RansDecoder", "RansEncoder", "use"]
