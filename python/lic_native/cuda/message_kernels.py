"""Messages in Triton: what `rust/src/ans` computes of rows of tables, to the bit.

What does not wait for a state is done for all elements at once: rows, slots, and symbols. Only rANS itself is done step
by step, with the lanes of a part as a vector. To encode, no lane waits for another one; so warps share the lanes of a
part, and the words of all of them are put in order afterwards. To decode, each step's words depend on all lanes: one
warp decodes a part.

Of a table a device has what `_native.Tables.layout` returns. No address depends on a stream without a bound.

Slots are 32 bits: the first slot, bit 15 if they are those of an escape, and from bit 16 on their number less 1.
"""

import triton
import triton.language as tl

# Of a row of `Tables.layout`: its size, and the places in it.
ROW = tl.constexpr(5)
OFFSET = tl.constexpr(1)
FIRST = tl.constexpr(2)
COUNT = tl.constexpr(3)
SHIFT = tl.constexpr(4)
# One slot of all, which leaves a state as it is; and the bucket that leads to it.
NOTHING = tl.constexpr(32767 << 16)
NO_BUCKET = tl.constexpr((32768 << 16) | (32768 << 32))


@triton.jit(do_not_specialize=("n", "mean_step", "scale_step"))
def locate(means, scales, rows, shifts, facts, n, mean_step, scale_step, BLOCK: tl.constexpr):
    """Find the rows and shifts of means and scales, as `LocateRow` in `rust/src/tables/float.rs`, and count wrong ones.

    means, scales: float32 or float64; a step of 0 is for one number instead of `n`. rows, shifts: int32 `[n]`.
    facts: int64, of which the first is added to.
    """
    element = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = element < n
    mean = tl.load(means + element * mean_step, mask=inside, other=0).to(tl.float64)
    scale = tl.load(scales + element * scale_step, mask=inside, other=1).to(tl.float64)
    # Where float32 is widened, tiny scales may have become 0: they count as wrong, and Rust is asked.
    valid = (scale > 0) & (scale < float("inf")) & (mean >= -1073741824.0) & (mean <= 1073741824.0)
    mean = tl.where(valid, mean, 0.0)
    scale = tl.where(valid, scale, 1.0)
    # The exponent and the first three bits of the mantissa, from 2^-4 on.
    level = ((scale.to(tl.int64, bitcast=True) >> 49) - 8152).to(tl.int32)
    level = tl.minimum(tl.maximum(level, 0), 103)
    octave = level >> 3
    bits = tl.maximum(6 - octave, 0)
    # The mean in halves of a fraction, rounded down: a multiplication by a power of two is exact.
    doubled = mean * (2 << bits).to(tl.float64)
    halves = doubled.to(tl.int64)
    halves -= (halves.to(tl.float64) > doubled).to(tl.int64)
    nearest = (halves + 1) >> 1
    shift = nearest >> bits.to(tl.int64)
    fraction = (nearest - (shift << bits.to(tl.int64))).to(tl.int32)
    row = 1024 + (tl.maximum(octave - 6, 0) << 3) + (((level & 7) - 16) << bits) + fraction
    tl.store(rows + element, row, mask=inside)
    tl.store(shifts + element, shift.to(tl.int32), mask=inside)
    tl.atomic_add(facts, tl.sum((inside & (valid == 0)).to(tl.int64)))


@triton.jit(do_not_specialize=("n", "shift_step", "sample"))
def find_slots(
    symbols,
    rows,
    shifts,
    layout,
    boundaries,
    costs,
    slots,
    distances,
    facts,
    n,
    shift_step,
    sample,
    EXACT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Find the slots of int32 `symbols` `[n]`.

    slots: int32 `[n]`. distances: int64 `[n]`, only those of escapes are stored. facts: int64; to the second is added
    the number of escapes, to the third the cost of each block of 64 elements whose number is a multiple of `sample`.
    EXACT: take costs from the table `costs`, int32 by the number of slots, instead of an approximation.
    """
    element = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = element < n
    symbol = tl.load(symbols + element, mask=inside, other=0).to(tl.int64)
    row = layout + ROW * tl.load(rows + element, mask=inside, other=0)
    # Symbols minus shifts are modulo 2^32.
    shifted = (symbol - tl.load(shifts + element * shift_step, mask=inside, other=0)).to(tl.int32)
    position = shifted.to(tl.int64) - tl.load(row + OFFSET)
    count = tl.load(row + COUNT).to(tl.int64)
    is_below = position < 0
    escaped = inside & (is_below | (position >= count))
    interval = tl.where(escaped, count, tl.minimum(tl.maximum(position, 0), count))
    at = boundaries + tl.load(row + FIRST) + interval
    begin = tl.load(at, mask=inside, other=0)
    more = tl.load(at + 1, mask=inside, other=32768) - begin - 1
    tl.store(slots + element, begin | (escaped.to(tl.int32) << 15) | (more << 16), mask=inside)
    distance = tl.where(is_below, 2 * (-1 - position) + 1, 2 * (position - count))
    tl.store(distances + element, distance, mask=escaped)
    if EXACT:
        cost = tl.load(costs + more + 1).to(tl.int64)
    else:
        # The bits of a float are its logarithm, linear between powers of two.
        logarithm = (more + 1).to(tl.float32).to(tl.int32, bitcast=True) - 1065353216
        cost = (15 << 26) - (logarithm.to(tl.int64) << 3)
    sampled = inside & ((element >> 6) % sample == 0)
    tl.atomic_add(facts + 1, tl.sum(escaped.to(tl.int64)))
    tl.atomic_add(facts + 2, tl.sum(tl.where(sampled, cost, 0)))


@triton.jit
def encode_parts(slots, starts, lane_counts, words, states, counts, V: tl.constexpr, U: tl.constexpr):
    """Code the slots of each part, last to first: program (i, k) has the lanes from V k on of part i.

    starts: int64 `[parts + 1]`. lane_counts: int32 `[parts]`. words: int32 `[n]`, the word of each element, or -1.
    states: int64 `[parts, 64]`. counts: int32 `[parts, 64 / V]` of words. U: steps whose slots are loaded at once.
    """
    part = tl.program_id(0).to(tl.int64)
    lane = tl.program_id(1) * V + tl.arange(0, V)
    first = tl.load(starts + part)
    stop = tl.load(starts + part + 1)
    lanes = tl.load(lane_counts + part)
    row = tl.arange(0, U)[:, None]
    state = tl.full([V], 65536, tl.uint32)
    count = tl.zeros([V], tl.int32)
    step = ((stop - first + lanes - 1) // lanes + U - 1) // U * U - U
    while step >= 0:
        element = first + (step + row) * lanes + lane[None, :]
        inside = (lane < lanes)[None, :] & (element < stop)
        tile = tl.load(slots + element, mask=inside, other=NOTHING)
        for k in tl.static_range(U):
            slot = tl.sum(tl.where(row == U - 1 - k, tile, 0), 0)
            freq = ((slot >> 16) + 1).to(tl.uint32)
            full = (state >> 17) >= freq
            own = first + (step + U - 1 - k) * lanes + lane
            word = tl.where(full, (state & 0xFFFF).to(tl.int32), -1)
            tl.store(words + own, word, mask=(lane < lanes) & (own < stop))
            count += full.to(tl.int32)
            fitting = tl.where(full, state >> 16, state)
            quotient = fitting // freq
            state = (quotient << 15) + (fitting - quotient * freq) + (slot & 32767).to(tl.uint32)
        step -= U
    tl.store(states + 64 * part + lane, state.to(tl.int64))
    tl.store(counts + (64 // V) * part + tl.program_id(1), tl.sum(count))


@triton.jit
def _next_state(state, slot, begin, end):
    """Return the states without the symbols that have these slots."""
    return (end - begin).to(tl.uint32) * (state >> 15) + (slot - begin).to(tl.uint32)


@triton.jit
def _search(layout, boundaries, rows, here, slot, far, interval, begin, after):
    """Go on from the second interval of a bucket, where slots are `far` beyond it, to their owners; return these."""
    row = layout + ROW * tl.load(rows, mask=here, other=0)
    boundary = boundaries + tl.load(row + FIRST)
    while tl.sum(far.to(tl.int32)) > 0:
        interval += far.to(tl.int32)
        begin = tl.where(far, after, begin)
        after = tl.load(boundary + interval + 1, mask=far, other=0) + tl.where(far, 0, after)
        far = far & (slot >= after)
    return interval, begin, after


@triton.jit
def _ones(bits):
    """Return how many of 32 bits are set."""
    bits -= (bits >> 1) & 0x55555555
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    return ((((bits + (bits >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def decode_parts(
    data,
    cursors,
    starts,
    lane_counts,
    states,
    rows,
    places,
    layout,
    boundaries,
    buckets,
    intervals,
    flags,
):
    """Find the interval of each element in its row; that after the last symbol is the escape's.

    data: uint8. cursors: int64 `[parts, 2]`, positions of words and of their end. starts and lane_counts: as of
    `encode_parts`. states: int64 `[64, parts]`. places: int32 `[n]`, the first bucket of each element's row, and the
    shift in the last four bits. intervals: int32 `[n]`. flags: int32 `[parts]`, 1 where a part does not end as it must.
    """
    part = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, 64)
    # The bits of the first 32 lanes and of the others: a lane's own, and those of the lanes before it.
    is_first = lane < 32
    own_bit = tl.full([64], 1, tl.uint32) << (lane & 31).to(tl.uint32)
    before = tl.where(is_first, own_bit - 1, 0xFFFFFFFF).to(tl.uint32)
    before_others = tl.where(is_first, 0, own_bit - 1).to(tl.uint32)
    first = tl.load(starts + part)
    stop = tl.load(starts + part + 1)
    lanes = tl.load(lane_counts + part)
    position = tl.load(cursors + 2 * part)
    end = tl.load(cursors + 2 * part + 1)
    # Neighbouring lanes are not neighbours here: else a thread had two of them, in all of what follows.
    state = tl.load(states + lane * tl.num_programs(0) + part).to(tl.uint32)
    lack = (position > end).to(tl.int32)
    step = first
    here = (lane < lanes) & (step + lane < stop)
    place = tl.load(places + step + lane, mask=here, other=0)
    while step < stop:
        own = step + lane
        slot = (state & 32767).to(tl.int32)
        bucket = tl.load(buckets + (place >> 4) + (slot >> (place & 15)), mask=here, other=NO_BUCKET)
        # What the next step needs is on its way during this one.
        step += lanes
        soon = (lane < lanes) & (step + lane < stop)
        place = tl.load(places + step + lane, mask=soon, other=0)
        middle = ((bucket >> 16) & 0xFFFF).to(tl.int32)
        second = slot >= middle
        begin = tl.where(second, middle, (bucket & 0xFFFF).to(tl.int32))
        after = tl.where(second, ((bucket >> 32) & 0xFFFF).to(tl.int32), middle)
        interval = ((bucket >> 48) & 0xFFFF).to(tl.int32) + second.to(tl.int32)
        following = _next_state(state, slot, begin, after)
        far = here & (slot >= after)
        if tl.sum(far.to(tl.int32)) > 0:
            interval, begin, after = _search(layout, boundaries, rows + own, here, slot, far, interval, begin, after)
            following = _next_state(state, slot, begin, after)
        tl.store(intervals + own, interval, mask=here)
        # Which lanes take a word, as bits: a sum is one instruction, where a prefix sum is one after the other.
        takes = here & (following < 65536)
        bits = tl.sum(tl.where(takes & is_first, own_bit, 0).to(tl.int32)).to(tl.uint32)
        others = tl.sum(tl.where(takes & (is_first == 0), own_bit, 0).to(tl.int32)).to(tl.uint32)
        word = position + 2 * (_ones(bits & before) + _ones(others & before_others))
        there = takes & (word + 1 < end)
        low = tl.load(data + word, mask=there, other=0).to(tl.uint32)
        high = tl.load(data + word + 1, mask=there, other=0).to(tl.uint32)
        state = tl.where(takes, (following << 16) | (high << 8) | low, following)
        position += 2 * (_ones(bits) + _ones(others))
        lack |= (position > end).to(tl.int32)
        here = soon
    unended = tl.sum((state != 65536).to(tl.int32))
    tl.store(flags + part, ((lack != 0) | (unended > 0) | (position != end)).to(tl.int32))


@triton.jit(do_not_specialize=("n", "shift_step"))
def find_symbols(intervals, rows, shifts, layout, symbols, escaped, n, shift_step, BLOCK: tl.constexpr):
    """Return the symbols of intervals as int32 `[n]`, and in `escaped`, int8 `[n]`, whether they are escapes."""
    element = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = element < n
    interval = tl.load(intervals + element, mask=inside, other=0)
    row = layout + ROW * tl.load(rows + element, mask=inside, other=0)
    symbol = tl.load(row + OFFSET).to(tl.int64) + interval
    symbol += tl.load(shifts + element * shift_step, mask=inside, other=0)
    tl.store(symbols + element, symbol.to(tl.int32), mask=inside)
    tl.store(escaped + element, (interval == tl.load(row + COUNT)).to(tl.int8), mask=inside)
