"""Measurements of lic_native and of other programs, on the same inputs in the same run.

`engine` measures any codec, and `codecs` has one file for each program that is measured. What is measured of each
input is in `jpeg` (JPEG files without loss), `image` (images with loss) and `latency` (where an image's time goes).
"""

__all__: list[str] = []
