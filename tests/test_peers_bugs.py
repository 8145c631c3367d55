"""Inputs that make other entropy coders crash, hang or return wrong symbols.

The docstrings say what torch_ans 0.4.0, CompressAI 1.2.8, constriction 0.5.0 and torchac 0.9.3 were seen to do.
"""

import numpy as np
import pytest

import lic_native

SCALES = np.array([0.11, 0.5, 2.0, 64.0])
GAUSSIANS = lic_native.Tables.gaussian(SCALES)
FULL = 1 << 15  # sum of the frequencies of a row
INT32 = np.iinfo(np.int32)


def encode(groups, tables) -> bytes:
    """Return one stream of groups of (symbols, indexes)."""
    encoder = lic_native.Encoder()
    for symbols, indexes in groups:
        encoder.put(np.asarray(symbols, np.int32), tables[np.asarray(indexes)])
    return encoder.finish()


def decode(data: bytes, all_indexes, tables) -> list[np.ndarray]:
    """Return the symbols of each group."""
    decoder = lic_native.Decoder(data)
    groups = [decoder.get(tables[np.asarray(indexes)]) for indexes in all_indexes]
    decoder.finish()
    return groups


def round_trip(tables, *groups) -> bytes:
    data = encode(groups, tables)
    decoded = decode(data, [indexes for _, indexes in groups], tables)
    for (symbols, _), again in zip(groups, decoded, strict=True):
        assert np.array_equal(again, symbols)
    return data


def of_frequencies(*rows, offset=0):
    """Return tables from rows of frequencies, the last of which is the escape's."""
    cdf = np.zeros((len(rows), 1 + max(map(len, rows))), np.int32)
    for boundaries, frequencies in zip(cdf, rows):
        boundaries[1 : 1 + len(frequencies)] = np.cumsum(frequencies)
    lengths = np.array([1 + len(row) for row in rows], np.int32)
    return lic_native.Tables(cdf, lengths, np.full(len(rows), offset, np.int32))


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(SCALES), count, np.uint8)
    return np.rint(rng.normal(0, SCALES[indexes])).astype(np.int32), indexes


def test_no_symbols():
    """CompressAI is killed by SIGSEGV."""
    assert round_trip(GAUSSIANS, ([], np.zeros(0, np.uint8))) == b""
    assert round_trip(GAUSSIANS) == b""


@pytest.mark.parametrize("symbol", [0, 1, -1, 500, INT32.min])
@pytest.mark.parametrize("index", range(len(SCALES)))
def test_one_symbol(index, symbol):
    """CompressAI writes past its buffer: "double free or corruption". torch_ans takes 64 bytes with 8 states."""
    assert len(round_trip(GAUSSIANS, ([symbol], np.array([index], np.uint8)))) <= 12


@pytest.mark.parametrize("freq", [FULL // 2, FULL // 2 + 1, FULL - 2])
def test_one_probable_symbol(freq):
    """torch_ans hangs: at its default precision of 16 bits its tables wrap around from a probability of 1/2 on."""
    frequencies = np.array([freq, FULL - freq - 1, 1])
    symbols = np.random.default_rng(0).choice(3, 100_000, p=frequencies / FULL).astype(np.int32)
    bits = -np.log2(frequencies / FULL)[symbols].sum()
    data = round_trip(of_frequencies(frequencies), (symbols, np.zeros(len(symbols), np.uint8)))
    assert abs(8 * len(data) - bits) < 0.01 * bits + 512


def test_one_certain_symbol():
    """CompressAI is killed by SIGFPE: the full frequency does not fit its 16 bits. Here only the escape can have it."""
    data = round_trip(of_frequencies([FULL]), (np.full(10_000, 7), np.zeros(10_000, np.uint8)))
    assert len(data) < 10_010  # for each escape a byte


def test_symbols_of_no_probability():
    """CompressAI is killed by SIGFPE by such a symbol, and torch_ans hangs. Here such tables are refused."""
    with pytest.raises(ValueError, match="row 0 has no slots at position 1"):
        of_frequencies([16384, 0, 16384])


def test_rows_of_different_length():
    """torch_ans with an inverse CDF decodes nearly all symbols wrong, whatever the size of that table."""
    rng = np.random.default_rng(0)
    rows = [np.full(FULL, 1), [FULL - 1, 1], np.full(64, FULL // 64), [FULL], [1, FULL - 2, 1]]
    indexes = rng.integers(0, len(rows), 20_000, np.uint8)
    symbols = rng.integers(0, np.array([len(row) + 1 for row in rows])[indexes]).astype(np.int32)
    round_trip(of_frequencies(*rows, offset=0), (symbols, indexes))
    round_trip(of_frequencies(*rows[::-1], offset=-3), (symbols, indexes))


@pytest.mark.parametrize("symbol", [32_768, -32_769, 70_000, 1 << 30, -(1 << 30), INT32.max, INT32.min])
def test_symbols_beyond_16_bits(symbol):
    """torchac returns another symbol for 70,000, torch_ans for the least and largest of 32 bits.

    CompressAI hangs from 2^30 on.
    """
    for offset in (0, -(1 << 30), 1 << 30):
        tables = of_frequencies([FULL // 2, FULL // 2], offset=offset)
        for count in (1, 63, 64, 65, 1000):
            round_trip(tables, (np.full(count, symbol), np.zeros(count, np.uint8)))
    symbols, indexes = draw(1000)
    symbols[::7] = symbol
    round_trip(GAUSSIANS, (symbols, indexes))


def test_thousands_of_tiny_messages():
    """CompressAI does not survive the first of one symbol."""
    messages = [draw(count % 5, count) for count in range(5000)]
    streams = [encode([message], GAUSSIANS) for message in messages]
    for (symbols, indexes), data in zip(messages, streams):
        assert np.array_equal(decode(data, [indexes], GAUSSIANS)[0], symbols)
        assert len(data) <= 2 + 3 * len(symbols)


def test_thousands_of_tiny_groups_in_one_stream():
    groups = [draw(count % 5, count) for count in range(5000)]
    count = sum(len(symbols) for symbols, _ in groups)
    assert len(round_trip(GAUSSIANS, *groups)) < count


def test_indexes_of_mixed_dtypes():
    """Symbols that were encoded with indexes of one dtype are decoded with indexes of another."""
    symbols, indexes = draw(3000)
    kinds = [np.uint8, np.uint16, np.int32]
    data = encode([(symbols, indexes.astype(kind)) for kind in kinds], GAUSSIANS)
    for again in decode(data, [indexes.astype(kind) for kind in kinds[::-1]], GAUSSIANS):
        assert np.array_equal(again, symbols)


@pytest.mark.parametrize("index", [np.int32(-1), np.int32(4), np.uint16(1000), np.uint8(255)])
def test_indexes_of_no_row(index):
    """CompressAI is killed by SIGSEGV, and torch_ans encodes something else without an error."""
    symbols, indexes = draw(200)
    wrong = indexes.astype(index.dtype)
    wrong[150] = index
    with pytest.raises(ValueError, match=r"index|row"):
        encode([(symbols, wrong)], GAUSSIANS)
    with pytest.raises(ValueError, match=r"index|row"):
        decode(encode([(symbols, indexes)], GAUSSIANS), [wrong], GAUSSIANS)


def test_empty_groups_between_full_ones():
    """CompressAI and torch_ans can do this. CompressAI can't encode an empty message."""
    full, empty = [draw(count, count) for count in (1, 64, 777)], draw(0)
    data = round_trip(GAUSSIANS, empty, full[0], empty, empty, full[1], full[2], empty)
    assert data == round_trip(GAUSSIANS, *full)


@pytest.mark.parametrize("length", [0, 3, 500])
def test_truncated_streams(length):
    """CompressAI and torch_ans decode such streams without an error. CompressAI reads beyond their end."""
    symbols, indexes = draw(2000)
    with pytest.raises(lic_native.LicError):
        decode(encode([(symbols, indexes)], GAUSSIANS)[:length], [indexes], GAUSSIANS)
