"""The rANS coder in Triton: what `rust/src/ans` computes, to the bit, where the distributions already are.

What needs no stream is computed for all symbols at the same time (`windows_of_mixtures`, `bounds_of_symbols`). For the
rest, one program codes one stream, 64 symbols after 64: nothing is shared between programs. The lanes of a stream are a
vector; a lane's words are found by a prefix sum over the lanes that take one. States, positions and curves are in the
device's memory, so that a walk of many steps launches two kernels for each. All arithmetic is on integers of 32 and 64
bits.

No address depends on a stream without a bound: words and escapes are read behind a mask, and what a stream asks for
beyond its end sets its flag. Nothing more is said of a damaged stream here; the coder in Rust says what is wrong.

No argument of a kernel is called `params`: Triton's launcher has a variable of that name.

A *curve* (docs/format.md, section 5, calibration) is 64 integers: counts of 16 bins, 17 values, 16 slopes, the symbols
seen and the fresh ones among them.
"""

import triton
import triton.language as tl

# Of the tensor of constants (`tables.constants`): where each table begins.
KNOTS = tl.constexpr(0)
GROWTHS = tl.constexpr(2048)
RECIPROCALS = tl.constexpr(4096)
RADII = tl.constexpr(4224)
WEIGHTS = tl.constexpr(4352)
EDGES = tl.constexpr(4480)
BINS = tl.constexpr(4512)
COSTS = tl.constexpr(8704)
# Of a curve.
CURVE = tl.constexpr(64)
VALUES = tl.constexpr(16)
SLOPES = tl.constexpr(33)
SEEN = tl.constexpr(49)
FRESH = tl.constexpr(50)
# Of the room of a stream, after where the symbols of 64 windows begin: the values of their curves there; the rank of
# each symbol in its window, -1 if it is beyond; these symbols, and the values of curves below and above them.
CORRECTED = tl.constexpr(512)
RANK = tl.constexpr(1024)
FAR = tl.constexpr(1088)
FAR_LOWER = tl.constexpr(1152)
FAR_UPPER = tl.constexpr(1216)
ROOM = tl.constexpr(1280)


@triton.jit
def _mixture(constants, mixtures, inside):
    """Load mixtures: both means and reciprocals, the weight, the support's first symbol and size, the octave."""
    mean1 = tl.load(mixtures, mask=inside, other=0).to(tl.int32)
    mean2 = tl.load(mixtures + 1, mask=inside, other=0).to(tl.int32)
    scale1 = tl.load(mixtures + 2, mask=inside, other=0).to(tl.int32)
    scale2 = tl.load(mixtures + 3, mask=inside, other=0).to(tl.int32)
    share = tl.load(mixtures + 4, mask=inside, other=0).to(tl.int32)
    scale1 = tl.minimum(tl.maximum(scale1, 0), 127)
    scale2 = tl.minimum(tl.maximum(scale2, 0), 127)
    weight = tl.load(constants + WEIGHTS + tl.minimum(tl.maximum(share, 0), 127))
    first = weight < 0
    near1 = (mean1 + 8) >> 4
    near2 = (mean2 + 8) >> 4
    centre = tl.where(first, near1, near2)
    radius1 = tl.load(constants + RADII + scale1)
    radius2 = tl.load(constants + RADII + scale2)
    low = tl.maximum(tl.minimum(near1 - radius1, near2 - radius2), centre - 2047)
    high = tl.minimum(tl.maximum(near1 + radius1, near2 + radius2), centre + 2047)
    octave = tl.minimum(tl.maximum(tl.where(first, scale1, scale2), 24), 87) // 8 - 3
    reciprocal1 = tl.load(constants + RECIPROCALS + scale1)
    reciprocal2 = tl.load(constants + RECIPROCALS + scale2)
    return mean1, mean2, reciprocal1, reciprocal2, weight & 0xFFFF, low, high - low + 1, octave


@triton.jit
def _sigmoid(constants, distance, reciprocal):
    """Return the logistic distribution function, times 2^16, at a distance from the mean in 1/16."""
    argument = (distance.to(tl.int64) * reciprocal.to(tl.int64)) >> 12
    position = tl.minimum(tl.maximum(argument + 786432, 0), 1572864).to(tl.int32)
    knot = position >> 10
    value = tl.load(constants + KNOTS + knot)
    growth = tl.load(constants + GROWTHS + knot)
    return value + ((growth * (position & 1023) + 512) >> 10)


@triton.jit
def _bound(constants, symbol, mean1, mean2, reciprocal1, reciprocal2, weight):
    """Return a mixture's distribution function below a symbol, times 2^16."""
    boundary = symbol * 16 - 8
    one = _sigmoid(constants, boundary - mean1, reciprocal1)
    other = _sigmoid(constants, boundary - mean2, reciprocal2)
    return ((other << 15) + weight * (one - other)) >> 15


@triton.jit
def _by_curve(constants, curve, value):
    """Return the values of curves at values of distribution functions, 0 to 2^16."""
    bin = tl.load(constants + BINS + (value >> 4))
    first = tl.load(constants + EDGES + bin)
    return tl.load(curve + VALUES + bin) + (((value - first) * tl.load(curve + SLOPES + bin)) >> 15)


@triton.jit
def _count(curve, low, high, inside):
    """Count symbols between these values of their curves."""
    bins = tl.arange(0, 16)[None, :]
    high = tl.maximum(high, low + 1)
    unit = 268435456 // (high - low)
    at = curve[:, None] + bins
    end = tl.minimum(tl.maximum(tl.load(at + VALUES + 1), low[:, None]), high[:, None])
    start = tl.minimum(tl.maximum(tl.load(at + VALUES), low[:, None]), high[:, None])
    part = ((end - start) * unit[:, None]) >> 16
    tl.atomic_add(at, part, mask=inside[:, None] & (part > 0), sem="relaxed")
    one = inside.to(tl.int32)
    tl.atomic_add(curve + SEEN, one, mask=inside, sem="relaxed")
    tl.atomic_add(curve + FRESH, one, mask=inside, sem="relaxed")


@triton.jit
def _renew(constants, curve, inside):
    """Let the curves of a block take over what was counted, where that is enough. Equal curves are renewed alike."""
    tl.debug_barrier()
    seen = tl.load(curve + SEEN, mask=inside, other=0)
    fresh = tl.load(curve + FRESH, mask=inside, other=0)
    due = inside & (32 * fresh >= seen + 128)
    if tl.sum(due.to(tl.int32)) > 0:
        bins = tl.arange(0, 16)[None, :]
        old = seen > 1000
        at = curve[:, None] + bins
        counts = tl.load(at, mask=due[:, None], other=0)
        counts = tl.where(old[:, None], counts // 2, counts)
        seen = tl.where(old, seen // 2, seen)
        width = tl.load(constants + EDGES + 1 + bins) - tl.load(constants + EDGES + bins)
        weight = counts + 10 * width
        after = tl.cumsum(weight, 1)
        reciprocal = (281474976710656 // tl.sum(weight, 1).to(tl.int64))[:, None]
        start = (((after - weight).to(tl.int64) * reciprocal) >> 32).to(tl.int32)
        end = tl.where(bins < 15, ((after.to(tl.int64) * reciprocal) >> 32).to(tl.int32), 65536)
        # Everything is loaded before anything is stored: another element may have the same curve.
        tl.debug_barrier()
        tl.store(at, counts, mask=due[:, None])
        tl.store(at + VALUES, start, mask=due[:, None])
        tl.store(at + SLOPES, ((end - start) << 15) // width, mask=due[:, None])
        tl.store(curve + SEEN, seen, mask=due)
        tl.store(curve + FRESH, tl.zeros_like(seen), mask=due)
    tl.debug_barrier()


@triton.jit
def _refilled(data, state, inside, position, end):
    """Give the lanes that need it their next word; return the states, the position after the words, and any lack."""
    short = inside & (state < 65536)
    taken = short.to(tl.int32)
    at = position + 2 * (tl.cumsum(taken, 0) - taken)
    there = short & (at + 1 < end)
    low = tl.load(data + at, mask=there, other=0).to(tl.uint32)
    high = tl.load(data + at + 1, mask=there, other=0).to(tl.uint32)
    state = tl.where(short, (state << 16) | (high << 8) | low, state)
    count = tl.sum(taken)
    return state, position + 2 * count, (position + 2 * count > end).to(tl.int32)


@triton.jit
def _varint(data, position, end):
    """Read a varint of up to 35 bits; return it, the position after it, and whether there is none."""
    index = tl.arange(0, 8)
    byte = tl.load(data + position + index, mask=position + index < end, other=128).to(tl.int64)
    last = tl.min(tl.where(byte < 128, index, 8))
    value = tl.sum(tl.where(index <= last, (byte & 127) << (7 * index).to(tl.int64), 0))
    return value, position + last + 1, (last > 4).to(tl.int32)


@triton.jit
def _search(constants, mixtures, curve, inside, slot):
    """Find the owners of slots, anywhere in their distributions.

    Returns the owner's number, -1 for the escape below and `count` for the one above, the values of its curve below and
    above it, and its first slot and the one after its last.
    """
    column = tl.arange(0, 16)[None, :]
    mean1, mean2, reciprocal1, reciprocal2, weight, low, count, _ = _mixture(constants, mixtures, inside)
    spare = 32766 - count
    # The last of the boundaries 0 to `count` that is not above the slot, or -1: in steps of 256, 16 and 1.
    found = count * 0 - 1
    stride = 256
    while stride > 0:
        at = found[:, None] + stride * (column + 1)
        known = tl.minimum(at, count[:, None])
        value = _bound(
            constants,
            low[:, None] + known,
            mean1[:, None],
            mean2[:, None],
            reciprocal1[:, None],
            reciprocal2[:, None],
            weight[:, None],
        )
        begins = 1 + known + ((_by_curve(constants, curve[:, None], value) * spare[:, None]) >> 16)
        begun = (at <= count[:, None]) & (begins <= slot[:, None])
        found += stride * tl.sum(begun.to(tl.int32), 1)
        stride = stride // 16
    below = tl.maximum(found, 0)
    above = tl.minimum(found + 1, count)
    lower = _bound(constants, low + below, mean1, mean2, reciprocal1, reciprocal2, weight)
    upper = _bound(constants, low + above, mean1, mean2, reciprocal1, reciprocal2, weight)
    lower = tl.where(found < 0, 0, _by_curve(constants, curve, lower))
    upper = tl.where(found >= count, 65536, _by_curve(constants, curve, upper))
    begin = tl.where(found < 0, 0, 1 + found + ((lower * spare) >> 16))
    after = tl.where(found >= count, 32768, 2 + found + ((upper * spare) >> 16))
    return found, lower, upper, begin, after


@triton.jit(do_not_specialize=("n", "channels", "first_context"))
def windows_of_mixtures(mixtures, facts, windows, constants, n, channels, first_context):
    """Find what decoding needs of `mixtures` int16 `[B, n, 5]`: in program (i, b) of 64 elements of picture b.

    facts: int32 `[B, 3, n]`: the support's first symbol; its size, and from bit 16 on where the window begins in it;
    the number of the curve. windows: int32 `[B, n, 8]`: the distribution function at the symbols around the centre.
    """
    b = tl.program_id(1).to(tl.int64)
    element = tl.program_id(0) * 64 + tl.arange(0, 64)
    inside = element < n
    mean1, mean2, reciprocal1, reciprocal2, weight, low, count, octave = _mixture(
        constants, mixtures + (b * n + element) * 5, inside
    )
    heavier = tl.where(weight >= 16384, mean1, mean2)
    window = tl.minimum(tl.maximum(((heavier + 8) >> 4) - low - 3, 0), count)
    facts += b * n * 3 + element
    tl.store(facts, low, mask=inside)
    tl.store(facts + n, count | (window << 16), mask=inside)
    tl.store(facts + 2 * n, (first_context + element % channels) * 8 + octave, mask=inside)
    column = tl.arange(0, 8)[None, :]
    values = _bound(
        constants,
        low[:, None] + tl.minimum(window[:, None] + column, count[:, None]),
        mean1[:, None],
        mean2[:, None],
        reciprocal1[:, None],
        reciprocal2[:, None],
        weight[:, None],
    )
    tl.store(windows + (b * n + element)[:, None] * 8 + column, values, mask=inside[:, None])


@triton.jit(do_not_specialize=("n", "curve_count"))
def decode_mixtures(
    data,
    cursors,
    states,
    lane_counts,
    calibrated,
    flags,
    mixtures,
    facts,
    windows,
    out,
    room,
    curves,
    constants,
    n,
    curve_count,
    V: tl.constexpr,
):
    """Decode a group of each stream: `mixtures` int16 `[B, n, 5]` to `out` float32 `[B, n]`.

    facts, windows: of `windows_of_mixtures`. room: int32 `[B, ROOM]`, for what a block keeps. V: lanes at most.
    """
    b = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, V)
    index = tl.arange(0, 64)
    column = tl.arange(0, 8)[None, :]
    lanes = tl.load(lane_counts + b)
    learns = tl.load(calibrated + b)
    flag = tl.load(flags + b)
    position = tl.load(cursors + 4 * b)
    end = tl.load(cursors + 4 * b + 1)
    escape = tl.load(cursors + 4 * b + 2)
    escapes_end = tl.load(cursors + 4 * b + 3)
    state = tl.load(states + 64 * b + lane).to(tl.uint32)
    mixtures += b * n * 5
    facts += b * n * 3
    windows += b * n * 8
    out += b * n
    room += b * ROOM
    curves += b * curve_count * CURVE
    block = 0
    while block < n:
        # What the steps of the block need and what does not depend on them: where the eight symbols of windows begin.
        element = block + index
        inside = element < n
        low = tl.load(facts + element, mask=inside, other=0)
        place = tl.load(facts + n + element, mask=inside, other=0)
        curve = curves + tl.load(facts + 2 * n + element, mask=inside, other=0) * CURVE
        count = place & 0xFFFF
        window = place >> 16
        values = tl.load(windows + element[:, None] * 8 + column, mask=inside[:, None], other=0)
        values = _by_curve(constants, curve[:, None], values)
        symbol = tl.minimum(window[:, None] + column, count[:, None])
        at = room + index[:, None] * 8 + column
        tl.debug_barrier()
        tl.store(at, 1 + symbol + ((values * (32766 - count)[:, None]) >> 16))
        tl.store(at + CORRECTED, values)
        tl.debug_barrier()
        size = tl.minimum(n - block, 64)
        step = 0
        while step < size:
            own = step + lane
            here = (lane < lanes) & (own < size)
            own = tl.minimum(own, 63)
            slot = (state & 32767).to(tl.int32)
            rank = own * 0
            begin = own * 0
            after = begin + 32768
            for k in tl.static_range(8):
                bound = tl.load(room + own * 8 + k)
                begun = bound <= slot
                rank += begun.to(tl.int32)
                begin = tl.where(begun, bound, begin)
                after = tl.minimum(after, tl.where(begun, 32768, bound))
            unknown = here & ((begin == 0) | (after == 32768))
            if tl.sum(unknown.to(tl.int32)) > 0:
                far = block + own
                first = tl.load(facts + far, mask=here, other=0)
                last = tl.load(facts + n + far, mask=here, other=0) & 0xFFFF
                number = tl.load(facts + 2 * n + far, mask=here, other=0)
                found, lower, upper, far_begin, far_after = _search(
                    constants, mixtures + far * 5, curves + number * CURVE, here, slot
                )
                begin = tl.where(unknown, far_begin, begin)
                after = tl.where(unknown, far_after, after)
                rank = tl.where(unknown, -1, rank)
                result = (first + found).to(tl.int64)
                pending = (unknown & ((found < 0) | (found >= last))).to(tl.int32)
                while tl.sum(pending) > 0:
                    mine = lane == tl.min(tl.where(pending > 0, lane, V))
                    distance, escape, lack = _varint(data, escape, escapes_end)
                    flag |= lack
                    outer = tl.where(found < 0, first.to(tl.int64) - 1 - distance, first.to(tl.int64) + last + distance)
                    result = tl.where(mine, outer, result)
                    pending = tl.where(mine, 0, pending)
                outside = (result < -32768) | (result > 32767)
                flag |= tl.max((unknown & outside).to(tl.int32))
                result = tl.where(outside, 0, result).to(tl.int32)
                tl.store(room + FAR + own, result, mask=unknown)
                tl.store(room + FAR_LOWER + own, lower, mask=unknown)
                tl.store(room + FAR_UPPER + own, upper, mask=unknown)
            next_state = (after - begin).to(tl.uint32) * (state >> 15) + (slot - begin).to(tl.uint32)
            state = tl.where(here, next_state, state)
            state, position, lack = _refilled(data, state, here, position, end)
            flag |= lack
            tl.store(room + RANK + own, rank, mask=here)
            step += lanes
        tl.debug_barrier()
        rank = tl.load(room + RANK + index, mask=inside, other=1)
        near = rank > 0
        result = low + window + rank - 1
        result = tl.where(near, result, tl.load(room + FAR + index, mask=inside & (rank < 0), other=0))
        tl.store(out + element, result.to(tl.float32), mask=inside)
        if learns != 0:
            corrected = room + CORRECTED + index * 8 + tl.maximum(rank, 1)
            far = inside & (rank < 0)
            lower = tl.where(near, tl.load(corrected - 1), tl.load(room + FAR_LOWER + index, mask=far, other=0))
            upper = tl.where(near, tl.load(corrected), tl.load(room + FAR_UPPER + index, mask=far, other=0))
            _count(curve, lower, upper, inside)
            _renew(constants, curve, inside)
        block += 64
    tl.store(states + 64 * b + lane, state.to(tl.int64))
    tl.store(cursors + 4 * b, position)
    tl.store(cursors + 4 * b + 2, escape)
    tl.store(flags + b, flag)


@triton.jit(do_not_specialize=("n", "channels", "first_context"))
def bounds_of_symbols(symbols, mixtures, slots, distances, facts, costs, constants, n, channels, first_context):
    """Find slots without calibration, and what `correct_slots` needs: in program (i, b) of 64 elements of picture b.

    symbols: float32 `[B, n]`, of `mixtures` int16 `[B, n, 5]`. slots: int32 `[B, n]`: first slot, and from bit 16 on
    the number of slots less 1. distances: int32 `[B, n]` of escapes, -1 for others. facts: int32 `[B, 4, n]`: the
    distribution function below the symbol and above it; how many symbols and escapes begin before it, and from bit 16
    on the size of the support; the number of the curve. costs: int64 `[B]`, added to.
    """
    b = tl.program_id(1).to(tl.int64)
    element = tl.program_id(0) * 64 + tl.arange(0, 64)
    inside = element < n
    mean1, mean2, reciprocal1, reciprocal2, weight, low, count, octave = _mixture(
        constants, mixtures + (b * n + element) * 5, inside
    )
    found = tl.load(symbols + b * n + element, mask=inside, other=0).to(tl.int32) - low
    is_below = found < 0
    is_above = found >= count
    distance = tl.where(is_below, -1 - found, tl.where(is_above, found - count, -1))
    tl.store(distances + b * n + element, distance, mask=inside)
    below = tl.minimum(tl.maximum(found, 0), count)
    above = tl.minimum(tl.maximum(found + 1, 0), count)
    rank = tl.where(is_below, 0, 1 + below)
    lower = _bound(constants, low + below, mean1, mean2, reciprocal1, reciprocal2, weight)
    upper = _bound(constants, low + above, mean1, mean2, reciprocal1, reciprocal2, weight)
    lower = tl.where(is_below, 0, lower)
    upper = tl.where(is_above, 65536, upper)
    facts += b * n * 4 + element
    tl.store(facts, lower, mask=inside)
    tl.store(facts + n, upper, mask=inside)
    tl.store(facts + 2 * n, rank | (count << 16), mask=inside)
    tl.store(facts + 3 * n, (first_context + element % channels) * 8 + octave, mask=inside)
    cost = _store_slots(constants, slots + b * n + element, rank, 32766 - count, lower, upper, inside)
    tl.atomic_add(costs + b, tl.sum(cost), sem="relaxed")


@triton.jit
def _store_slots(constants, slots, rank, spare, lower, upper, inside):
    """Store the slots of symbols between two values, and return what they cost."""
    begin = rank + ((lower * spare) >> 16)
    more = rank + ((upper * spare) >> 16) - begin
    tl.store(slots, begin | (more << 16), mask=inside)
    return tl.load(constants + COSTS + more + 1, mask=inside, other=0).to(tl.int64)


@triton.jit(do_not_specialize=("n", "curve_count"))
def correct_slots(facts, slots, costs, curves, constants, n, curve_count):
    """Find the slots of a group of each stream with calibration: of `facts` of `bounds_of_symbols`.

    slots: int32 `[B, n]`. costs: int64 `[B]`, added to.
    """
    b = tl.program_id(0).to(tl.int64)
    facts += b * n * 4
    slots += b * n
    curves += b * curve_count * CURVE
    cost = tl.zeros([64], tl.int64)
    block = 0
    while block < n:
        element = block + tl.arange(0, 64)
        inside = element < n
        place = tl.load(facts + 2 * n + element, mask=inside, other=0)
        curve = curves + tl.load(facts + 3 * n + element, mask=inside, other=0) * CURVE
        lower = _by_curve(constants, curve, tl.load(facts + element, mask=inside, other=0))
        upper = _by_curve(constants, curve, tl.load(facts + n + element, mask=inside, other=0))
        cost += _store_slots(constants, slots + element, place & 0xFFFF, 32766 - (place >> 16), lower, upper, inside)
        _count(curve, lower, upper, inside)
        _renew(constants, curve, inside)
        block += 64
    tl.store(costs + b, tl.load(costs + b) + tl.sum(cost))


@triton.jit(do_not_specialize=("groups", "total", "batch"))
def encode_slots(slots, chosen, group_ends, groups, lane_counts, states, words, firsts, total, batch, V: tl.constexpr):
    """Code the slots of each stream, last to first: of `slots` `[2, B, total]` those that `chosen` int64 `[B]` says.

    words: int16 `[B, total]`, filled from the end; firsts: int64 `[B]`, where they begin.
    """
    b = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, V)
    lanes = tl.load(lane_counts + b)
    slots += (tl.load(chosen + b) * batch + b) * total
    words += b * total
    state = tl.full([V], 65536, tl.uint32)
    at = total
    group = groups - 1
    while group >= 0:
        first = tl.load(group_ends + group - 1, mask=group > 0, other=0)
        stop = tl.load(group_ends + group)
        # A group may be empty.
        step = first + tl.maximum(stop - first - 1, 0) // lanes * lanes
        element = step + lane
        inside = (lane < lanes) & (element < stop)
        slot = tl.load(slots + element, mask=inside, other=0)
        while step >= first:
            # The next slots are on their way while these are coded. All steps before the last are full.
            element -= lanes
            next_inside = (lane < lanes) & (element >= first)
            next_slot = tl.load(slots + element, mask=next_inside, other=0)
            begin = (slot & 0xFFFF).to(tl.uint32)
            freq = ((slot >> 16) + 1).to(tl.uint32)
            full = inside & ((state >> 17) >= freq)
            given = full.to(tl.int32)
            at -= tl.sum(given)
            tl.store(words + at + tl.cumsum(given, 0) - given, (state & 0xFFFF).to(tl.int16), mask=full)
            fitting = tl.where(full, state >> 16, state)
            quotient = fitting // freq
            state = tl.where(inside, (quotient << 15) + (fitting - quotient * freq + begin), state)
            inside = next_inside
            slot = next_slot
            step -= lanes
        group -= 1
    tl.store(states + 64 * b + lane, state.to(tl.int64))
    tl.store(firsts + b, at.to(tl.int64))
