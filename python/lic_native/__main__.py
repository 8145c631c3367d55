"""`python -m lic_native` is the command `lic-native`."""

from .cli import main

main()
