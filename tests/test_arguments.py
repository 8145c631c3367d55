"""Checks of arguments."""

import array
import mmap
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from lic_native import Limits, arguments


@pytest.mark.parametrize(
    "given",
    [
        b"abc",
        bytearray(b"abc"),
        memoryview(b"abc"),
        memoryview(b"a-b-c")[::2],
        np.frombuffer(b"abc", np.uint8),
        array.array("B", b"abc"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_bytes_are_taken(given):
    assert arguments.to_bytes(given) == b"abc"


def test_a_mapped_file_is_taken(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with (tmp_path / "x").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert arguments.to_bytes(mapped) == b"abc"


@pytest.mark.parametrize(
    "given",
    [
        "photo.jpg",
        Path("photo.jpg"),
        5,
        True,
        None,
        [1, 2],
        (1, 2),
        range(3),
        {1: 2},
        np.zeros((2, 2), np.uint8),
        np.zeros(2, np.int32),
        np.ma.masked_array(np.zeros(2, np.uint8), mask=[0, 1]),
        array.array("i", [1]),
        torch.zeros(3, dtype=torch.uint8),
        b"abc".hex,
    ],
    ids=lambda given: type(given).__name__,
)
def test_nothing_else_is_taken_for_bytes(given):
    with pytest.raises(TypeError, match="data must be a bytes-like object, not"):
        arguments.to_bytes(given)


def test_numbers():
    assert arguments.to_count(np.int16(3), "n") == arguments.to_count(3, "n") == 3
    for given in (True, 3.0, "3", None, np.float32(3), Decimal(3)):
        with pytest.raises(TypeError, match="n must be an integer"):
            arguments.to_count(given, "n")
    with pytest.raises(ValueError, match="n must be 1 or more, not 0"):
        arguments.to_count(0, "n", 1)
    assert [arguments.to_number(x, "q") for x in (4, 4.5, np.float32(4.5), Fraction(9, 2))] == [4, 4.5, 4.5, 4.5]
    for given in (True, "4", None, [4], 4j):
        with pytest.raises(TypeError, match="q must be a number"):
            arguments.to_number(given, "q")


def test_devices():
    for given, name in {None: None, "cpu": "cpu", "cpu:0": "cpu", "cuda": "cuda", "cuda:1": "cuda:1"}.items():
        assert arguments.to_device(given) == name
    assert arguments.to_device(torch.device("cpu")) == "cpu"
    assert arguments.to_device(torch.device("cuda", 1)) == "cuda:1"
    for given in ("gpu", "CUDA", "", "meta", "cuda:x", "cpu ", torch.device("meta")):
        with pytest.raises(ValueError, match="unknown device"):
            arguments.to_device(given)
    for given in (0, True, object(), ["cpu"]):
        with pytest.raises(TypeError, match=r"device must be a string or a torch\.device"):
            arguments.to_device(given)


def test_choices_and_kinds():
    arguments.check_choice("b", ("a", "b"), "profile")
    with pytest.raises(ValueError, match="unknown profile 'c'; choose from: a, b"):
        arguments.check_choice("c", ("a", "b"), "profile")
    with pytest.raises(TypeError, match="profile must be a string, not int"):
        arguments.check_choice(1, ("a", "b"), "profile")
    arguments.check_instance(Limits(), Limits, "limits")
    with pytest.raises(TypeError, match=r"limits must be a lic_native\.Limits, not NoneType"):
        arguments.check_instance(None, Limits, "limits")
