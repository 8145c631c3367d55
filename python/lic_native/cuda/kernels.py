"""The rANS coder in Triton: what `rust/src/ans` computes, to the bit, where the distributions already are.

One program codes one stream: nothing is shared between programs. The lanes of a stream are a vector; a lane's words are
found by a prefix sum over the lanes that take one. States, positions and curves are in the device's memory, so that a
walk of many steps launches one kernel for each. All arithmetic is on integers of 32 and 64 bits.

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
    low = tl.load(data + at, mask=there, other=0).to(tl.int64)
    high = tl.load(data + at + 1, mask=there, other=0).to(tl.int64)
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


@triton.jit(do_not_specialize=("n", "channels", "first_context", "curve_count"))
def decode_mixtures(
    data,
    cursors,
    states,
    lane_counts,
    calibrated,
    flags,
    mixtures,
    out,
    learned,
    curves,
    constants,
    n,
    channels,
    first_context,
    curve_count,
    V: tl.constexpr,
):
    """Decode a group of each stream: `mixtures` int16 `[B, n, 5]` to `out` float32 `[B, n]`.

    learned: int32 `[B, 2, 64]`, room for what the symbols of a block count. V: lanes at most.
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
    state = tl.load(states + 64 * b + lane)
    mixtures += b * n * 5
    out += b * n
    learned += b * 128
    curves += b * curve_count * CURVE
    block = 0
    while block < n:
        # What the steps of the block need and what does not depend on them: the eight symbols around each centre.
        element = block + index
        inside = element < n
        mean1, mean2, reciprocal1, reciprocal2, weight, low, count, number = _mixture(
            constants, mixtures + element * 5, inside
        )
        number += (first_context + element % channels) * 8
        curve = curves + number * CURVE
        heavier = tl.where(weight >= 16384, mean1, mean2)
        window = tl.maximum(((heavier + 8) >> 4) - low - 3, 0)
        symbol = tl.minimum(window[:, None] + column, count[:, None])
        values = _bound(
            constants,
            low[:, None] + symbol,
            mean1[:, None],
            mean2[:, None],
            reciprocal1[:, None],
            reciprocal2[:, None],
            weight[:, None],
        )
        values = _by_curve(constants, curve[:, None], values)
        begins = 1 + symbol + ((values * (32766 - count)[:, None]) >> 16)
        step = 0
        while step < tl.minimum(n - block, 64):
            own = step + lane
            here = (lane < lanes) & (block + own < n)
            own = tl.minimum(own, 63)
            row = tl.broadcast_to(own[:, None], [V, 8])
            slot = (state & 32767).to(tl.int32)
            row_begins = tl.gather(begins, row, 0)
            row_values = tl.gather(values, row, 0)
            last = tl.gather(count, own, 0)
            first = tl.gather(low, own, 0)
            found = tl.gather(window, own, 0)
            begun = row_begins <= slot[:, None]
            begin = tl.max(tl.where(begun, row_begins, 0), 1)
            after = tl.min(tl.where(begun, 32768, row_begins), 1)
            lower = tl.max(tl.where(begun, row_values, 0), 1)
            upper = tl.min(tl.where(begun, 65536, row_values), 1)
            found += tl.sum(begun.to(tl.int32), 1) - 1
            unknown = here & ((begin == 0) | (after == 32768))
            if tl.sum(unknown.to(tl.int32)) > 0:
                where = mixtures + (block + own) * 5
                far, far_lower, far_upper, far_begin, far_after = _search(
                    constants, where, curves + tl.gather(number, own, 0) * CURVE, here, slot
                )
                found = tl.where(unknown, far, found)
                lower = tl.where(unknown, far_lower, lower)
                upper = tl.where(unknown, far_upper, upper)
                begin = tl.where(unknown, far_begin, begin)
                after = tl.where(unknown, far_after, after)
            next_state = (after - begin).to(tl.int64) * (state >> 15) + (slot - begin).to(tl.int64)
            state = tl.where(here, next_state, state)
            state, position, lack = _refilled(data, state, here, position, end)
            flag |= lack
            result = (first + found).to(tl.int64)
            pending = (here & ((found < 0) | (found >= last))).to(tl.int32)
            while tl.sum(pending) > 0:
                mine = lane == tl.min(tl.where(pending > 0, lane, V))
                distance, escape, lack = _varint(data, escape, escapes_end)
                flag |= lack
                outer = tl.where(found < 0, first.to(tl.int64) - 1 - distance, first.to(tl.int64) + last + distance)
                result = tl.where(mine, outer, result)
                pending = tl.where(mine, 0, pending)
            flag |= tl.max((here & ((result < -32768) | (result > 32767))).to(tl.int32))
            tl.store(out + block + own, result.to(tl.float32), mask=here)
            tl.store(learned + own, lower, mask=here)
            tl.store(learned + 64 + own, upper, mask=here)
            step += lanes
        if learns != 0:
            tl.debug_barrier()
            lower = tl.load(learned + index, mask=inside, other=0)
            upper = tl.load(learned + 64 + index, mask=inside, other=0)
            _count(curve, lower, upper, inside)
            _renew(constants, curve, inside)
        block += 64
    tl.store(states + 64 * b + lane, state)
    tl.store(cursors + 4 * b, position)
    tl.store(cursors + 4 * b + 2, escape)
    tl.store(flags + b, flag)


@triton.jit(do_not_specialize=("n", "batch", "channels", "first_context", "curve_count"))
def slots_of_mixtures(
    symbols,
    mixtures,
    slots,
    distances,
    costs,
    curves,
    constants,
    n,
    batch,
    channels,
    first_context,
    curve_count,
):
    """Find the slots of a group of each stream: of `symbols` float32 `[B, n]` under `mixtures` int16 `[B, n, 5]`.

    slots: int32 `[2, B, n]`: first slot, and from bit 16 on the number of slots less 1; without and with calibration.
    distances: int32 `[B, n]` of escapes, -1 for others. costs: int64 `[2, B]`, added to.
    """
    b = tl.program_id(0).to(tl.int64)
    symbols += b * n
    mixtures += b * n * 5
    curves += b * curve_count * CURVE
    plain = slots + b * n
    corrected = plain + n.to(tl.int64) * batch
    distances += b * n
    cost = tl.zeros([64], tl.int64)
    corrected_cost = tl.zeros([64], tl.int64)
    block = 0
    while block < n:
        element = block + tl.arange(0, 64)
        inside = element < n
        mean1, mean2, reciprocal1, reciprocal2, weight, low, count, octave = _mixture(
            constants, mixtures + element * 5, inside
        )
        spare = 32766 - count
        curve = curves + ((first_context + element % channels) * 8 + octave) * CURVE
        found = tl.load(symbols + element, mask=inside, other=0).to(tl.int32) - low
        is_below = found < 0
        is_above = found >= count
        distance = tl.where(is_below, -1 - found, tl.where(is_above, found - count, -1))
        tl.store(distances + element, distance, mask=inside)
        below = tl.minimum(tl.maximum(found, 0), count)
        above = tl.minimum(tl.maximum(found + 1, 0), count)
        rank = tl.where(is_below, 0, 1 + below)
        lower = _bound(constants, low + below, mean1, mean2, reciprocal1, reciprocal2, weight)
        upper = _bound(constants, low + above, mean1, mean2, reciprocal1, reciprocal2, weight)
        lower = tl.where(is_below, 0, lower)
        upper = tl.where(is_above, 65536, upper)
        begin = rank + ((lower * spare) >> 16)
        more = rank + ((upper * spare) >> 16) - begin
        tl.store(plain + element, begin | (more << 16), mask=inside)
        cost += tl.load(constants + COSTS + more + 1, mask=inside, other=0).to(tl.int64)
        lower = _by_curve(constants, curve, lower)
        upper = _by_curve(constants, curve, upper)
        begin = rank + ((lower * spare) >> 16)
        more = rank + ((upper * spare) >> 16) - begin
        tl.store(corrected + element, begin | (more << 16), mask=inside)
        corrected_cost += tl.load(constants + COSTS + more + 1, mask=inside, other=0).to(tl.int64)
        _count(curve, lower, upper, inside)
        _renew(constants, curve, inside)
        block += 64
    tl.store(costs + b, tl.load(costs + b) + tl.sum(cost))
    tl.store(costs + batch + b, tl.load(costs + batch + b) + tl.sum(corrected_cost))


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
    state = tl.full([V], 65536, tl.int64)
    at = total
    group = groups - 1
    while group >= 0:
        first = tl.load(group_ends + group - 1, mask=group > 0, other=0)
        stop = tl.load(group_ends + group)
        step = first + (stop - first - 1) // lanes * lanes
        while step >= first:
            element = step + lane
            inside = (lane < lanes) & (element < stop)
            slot = tl.load(slots + element, mask=inside, other=0)
            begin = (slot & 0xFFFF).to(tl.int64)
            freq = ((slot >> 16) + 1).to(tl.int64)
            full = inside & ((state >> 17) >= freq)
            given = full.to(tl.int32)
            at -= tl.sum(given)
            tl.store(words + at + tl.cumsum(given, 0) - given, (state & 0xFFFF).to(tl.int16), mask=full)
            fitting = tl.where(full, state >> 16, state)
            quotient = fitting // freq
            state = tl.where(inside, (quotient << 15) | (fitting - quotient * freq + begin), state)
            step -= lanes
        group -= 1
    tl.store(states + 64 * b + lane, state)
    tl.store(firsts + b, at.to(tl.int64))
