"""Launches that need not be tried because the same one with one more row is at least as good (K = 1).

*Fuller is at least as good* (needs *advanced is at least as good*, see `launches`): the same launch with one more row i
of the pools it draws from is
at least as good if
(a) its cost does not grow at all (then it leads to a more advanced state at the same time), or
(b) makespan only: what i adds now, the schedule must pay later anyway when it runs i's token, whose launch then
    gets cheaper by as much: needs costs affine in the rows (one level >= 0 and slope over 1..cap), and that i's exit
    (ramp and fill per row, and no new fixed fill) is not dearer than its cheapest way later, nor its deep ride.
    If i was alone in B's launch at segment 1, A pays start[2] and has paid i's slope: start[2] <= level of segment 1.
    Delay in between hurts no makespan: arrivals only become more available.
Where the fuller launch qualifies, the leaner one is dropped. Tests compare with `dominance` off.
"""

from __future__ import annotations

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, bits, inner


@inner
def _affine(values: Int, cap: Scalar) -> bool:
    """values[b] = level + slope * b for 1 <= b <= cap, level >= 0 (a launch of one row saves at least its slope)."""
    if values[1] < values[2] - values[1]:
        return False
    constant = True
    for b in range(2, cap):
        constant = constant and values[b + 1] - values[b] == values[2] - values[1]
    return constant


@inner
def is_lean(instance: Instance, codes: Codes, pools: Int, rows: Scalar, end: Scalar) -> bool:
    """The pass (begun at rest) could take one more row by that rule; pools[s]: the rows of pool s (a set)."""
    costs, cap, always = instance.costs, instance.cap, instance.always
    b = bits(rows)
    if b >= cap:
        return False
    one, two = rows & pools[1], rows & pools[2]
    b1 = bits(one)
    ready = parked = shallow_left = deep_left = False
    exits = 0
    for row in range(instance.n):
        if instance.pool[row, codes[row]] != 1:
            continue
        inside, is_shallow = (one >> row) & 1 == 1, instance.depth[row, codes[row]] == 1
        if inside and is_shallow:
            ready = True
            exits += 1
        elif inside:
            parked = True
        elif is_shallow:
            shallow_left = True
        else:
            deep_left = True
    flat = costs.context[1] == 0 and costs.context[2] == 0
    exchange = not instance.total
    affine1 = (exchange and _affine(costs.seg[1], cap)
               and costs.start[2] <= costs.seg[1, 1] - (costs.seg[1, 2] - costs.seg[1, 1]))
    affine2 = exchange and _affine(costs.seg[2], cap)
    step2 = costs.seg[2, b + 1] - costs.seg[2, b]
    if end == 2 and pools[2] & ~two and (affine2 or (flat and step2 == 0)):
        return True
    if b1 == 0:
        return False
    step1 = costs.seg[1, b1 + 1] - costs.seg[1, b1]
    ramp1 = costs.ramp[1, b1 + 1] - costs.ramp[1, b1]
    ramp_row, fill_row = costs.ramp_row[1], costs.fill_row
    slope2 = costs.seg[2, 2] - costs.seg[2, 1]
    if end == 2:
        grows = step1 + step2 + (ramp1 if always else 0)
        if deep_left and ((affine1 and affine2) or (flat and grows == 0)):
            return True
        if shallow_left:
            if always:
                grows += costs.fill[exits + 1] - costs.fill[exits]
            if flat and grows == 0:
                return True
            if affine1 and affine2 and costs.context[2] == 0:
                return bool((slope2 == 0 and exits > 0) if always else slope2 <= ramp_row + fill_row)
        return False
    if shallow_left:
        grows = step1 + ramp1 + costs.fill[exits + 1] - costs.fill[exits]
        if flat and grows == 0:
            return True
        if affine1 and affine2 and (ready or costs.fill[1] == fill_row) and (always or ramp_row + fill_row <= slope2):
            return True
    if deep_left and (parked or costs.rebatch == 0):
        return bool((flat and step1 + ramp1 == 0) or (affine1 and affine2 and (always or ramp_row == 0)))
    return False
