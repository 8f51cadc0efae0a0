"""What a compiled policy chooses: observations from the memory, rules interpreted from integer programs.

A program is one flat array `p`: its header (BATCH_LIMIT.. below), then LAUNCH entries (target, begin, end); per ramp
(consult begin, end, join begin, end), then RAMP entries (action, begin, end); then code pairs (operation, argument).
`begin` and `end` are indices in p. Source: scheduling model, Decisions and Observations; `policies.program`.
"""

from __future__ import annotations

import numpy as np

from drex_runtime.policies import observation as seen
from drex_runtime.policies import program as op
from drex_runtime.policies.program import Program
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.memory import Int, enter_pool, inner

BATCH_LIMIT, IS_EDF, USES_OLDEST, USES_SLACK, NUM_LAUNCH, NUM_RAMP_RULES, RAMPS_AT, LAUNCH = range(8)


# Besides the operations of a Program: jump over the right side of an `and` (`or`) whose left side decides it.
SKIP_IF_FALSE, SKIP_IF_TRUE = 16, 17
Code = list[tuple[int, int]]


def flat_program(program: Program) -> Int:
    """`program` as the array the kernel interprets."""
    ramps, per_ramp = program.ramp_action.shape
    launch = len(program.launch_target)
    ramps_at = LAUNCH + 3 * launch
    code_at = ramps_at + ramps * (4 + 3 * per_ramp)
    table = [program.batch_limit, program.edf, program.uses_oldest, program.uses_slack, launch, per_ramp, ramps_at]
    flat: list[int] = []

    def place(span: Int) -> tuple[int, int]:
        begin = code_at + len(flat)
        code = _with_skips([(int(pair[0]), int(pair[1])) for pair in program.code[span[0]:span[1]]])
        flat.extend(cell for pair in code for cell in pair)
        return begin, code_at + len(flat)

    for target, span in zip(program.launch_target, program.launch_span, strict=True):
        table += [int(target), *place(span)]
    for ramp in range(ramps):
        table += [*place(program.consult_span[ramp]), *place(program.join_span[ramp])]
        for action, span in zip(program.ramp_action[ramp], program.ramp_span[ramp], strict=True):
            table += [int(action), *place(span)]
    return np.array(table + flat, np.int64)


def _with_skips(code: Code) -> Code:
    """Short-circuit evaluation: conditions have no side effects, so what cannot matter is skipped."""
    parts: list[Code] = []
    for pair in code:
        operation = pair[0]
        if operation in (op.VAR, op.CONST):
            parts.append([pair])
        elif operation == op.NOT:
            parts[-1].append(pair)
        else:
            right = parts.pop()
            if operation in (op.AND, op.OR):
                parts[-1].append((SKIP_IF_FALSE if operation == op.AND else SKIP_IF_TRUE, len(right) + 1))
            parts[-1] += [*right, pair]
    return parts[0]


@inner
def holds(m: Int, p: Int, begin: int, end: int) -> bool:
    """Interpret one condition on the view. `policies.program` has proved that nothing overflows."""
    top, j = at.STACK - 1, begin
    while j < end:
        operation, argument = p[j], p[j + 1]
        j += 2
        if operation == op.VAR:
            top += 1
            m[top] = m[at.VIEW + argument]
        elif operation == op.CONST:
            top += 1
            m[top] = argument
        elif operation == SKIP_IF_FALSE:
            if m[top] == 0:
                j += 2 * argument
        elif operation == SKIP_IF_TRUE:
            if m[top] != 0:
                j += 2 * argument
        elif operation == op.NOT:
            m[top] = 1 - m[top]
        else:
            right = m[top]
            top -= 1
            left = m[top]
            if operation == op.ADD:
                m[top] = left + right
            elif operation == op.MUL:
                m[top] = left * right
            elif operation == op.LT:
                m[top] = left < right
            elif operation == op.LE:
                m[top] = left <= right
            elif operation == op.AND:
                m[top] = left & right
            elif operation == op.OR:
                m[top] = left | right
            elif operation == op.MIN:
                m[top] = min(left, right)
            elif operation == op.MAX:
                m[top] = max(left, right)
            elif operation == op.EQ:
                m[top] = left == right
            else:
                m[top] = left != right
    return bool(m[at.STACK])


@inner
def prepare_decision(m: Int, w: Int, c: Int) -> None:
    """Admit zero-prompt requests that have arrived, count ages: what precedes every next_launch."""
    now, n = m[at.NOW], w[at.NUM]
    while m[at.ARRIVED] < n and w[at.REQUESTS + at.REQUEST_WIDTH * m[at.ARRIVED] + at.ARRIVAL] <= now:
        m[at.ARRIVED] += 1
    while m[at.NEXT_BARE] < m[at.ARRIVED] and m[at.IN_FLIGHT] < c[at.PLACES]:
        row = m[at.NEXT_BARE]
        if m[at.ROWS + at.ROW_WIDTH * row + at.PLACE] == at.WAITING:
            enter_pool(m, w, at.ONE, row, now)
            m[at.IN_FLIGHT] += 1
            m[at.UNPLACED] -= 1
        m[at.NEXT_BARE] = w[at.REQUESTS + at.REQUEST_WIDTH * row + at.FOLLOWING]
    for s in range(1, w[at.NUM_SEGMENTS] + 1):
        m[at.AGES + s] = m[at.AGES + s] + 1 if m[at.TAIL + s] > m[at.HEAD + s] else 0


@inner
def can_prefill(m: Int, w: Int, c: Int) -> bool:
    """Whether PREFILL has anything to process. Moves NEXT_PROMPTED past finished prompts."""
    while m[at.NEXT_PROMPTED] < m[at.ARRIVED]:
        row = m[at.NEXT_PROMPTED]
        place = m[at.ROWS + at.ROW_WIDTH * row + at.PLACE]
        if place == at.WAITING:
            return bool(m[at.IN_FLIGHT] < c[at.PLACES])
        if place == at.PREFILLING:
            return True
        m[at.NEXT_PROMPTED] = w[at.REQUESTS + at.REQUEST_WIDTH * row + at.FOLLOWING]
    return False


@inner
def observe_decision(m: Int, w: Int, c: Int, oldest: bool, slack: bool) -> None:
    """Fill the launch view; `oldest_s` and slacks only if asked for (else left as they are)."""
    now, view = m[at.NOW], at.VIEW
    m[view + seen.WAITING] = m[at.UNPLACED] - (w[at.NUM] - m[at.ARRIVED])
    m[view + seen.IN_FLIGHT] = m[at.IN_FLIGHT]
    m[view + seen.FREE_PLACES] = c[at.PLACES] - m[at.IN_FLIGHT]
    m[view + seen.READY] = m[at.TAIL + 1] - m[at.HEAD + 1]
    m[view + seen.DECODES_SINCE_PREFILL] = m[at.DECODES]
    m[view + seen.BATCH_MAX], m[view + seen.N_MAX] = c[at.BATCH_MAX], c[at.PLACES]
    for s in range(1, w[at.NUM_SEGMENTS] + 1):
        of_pool = view + seen.POOL_BASE + seen.POOL_WIDTH * (s - 1)
        first, size = m[at.POOLS_AT] + s * m[at.CAPACITY] + m[at.HEAD + s], m[at.TAIL + s] - m[at.HEAD + s]
        m[of_pool + seen.BUFFERED], m[of_pool + seen.AGE] = size, m[at.AGES + s]
        if oldest:
            since = now
            for j in range(size):
                since = min(since, m[at.ROWS + at.ROW_WIDTH * m[first + j] + at.ENTERED])
            m[of_pool + seen.OLDEST] = now - since
        if slack:
            least = seen.SLACK_CAP
            for j in range(size if w[at.HAS_DUES] else 0):
                least = min(least, row_slack(m, w, m[first + j]))
            m[of_pool + seen.SLACK] = least


@inner
def row_slack(m: Int, w: Int, row: int) -> int:
    """`scheduling.pools.least_slack` of one row."""
    now, due, r = m[at.NOW], m[at.ROWS + at.ROW_WIDTH * row + at.DUE], at.REQUESTS + at.REQUEST_WIDTH * row
    if due != at.NONE and due >= now:
        return int(due - now)
    if w[r + at.REQUEST_DUE] >= now and w[r + at.TTFT] == at.NONE and w[r + at.TPOT] == at.NONE:
        return 0  # this token is late, its request is not missed
    return seen.SLACK_CAP


@inner
def observe_ramp(m: Int, w: Int, c: Int, slack: bool) -> None:
    """Fill the ramp view; the slack only if asked for (else left as it is)."""
    view, s = at.VIEW, m[at.SEGMENT]
    m[view + seen.SEGMENT], m[view + seen.BATCH], m[view + seen.EXITS] = s, m[at.BATCH], m[at.EXITS]
    m[view + seen.BUFFERED_NEXT] = m[at.TAIL + s + 1] - m[at.HEAD + s + 1]
    m[view + seen.RAMP_BATCH_MAX] = c[at.BATCH_MAX]
    for j in range(at.RECENT_FIELDS):
        m[view + seen.RECENT + j] = m[at.RECENT + at.RECENT_FIELDS * s + j]
    if slack:
        least = seen.SLACK_CAP
        for j in range(m[at.BATCH] if w[at.HAS_DUES] else 0):
            row = m[m[at.POOLS_AT] + j]
            i = at.ROWS + at.ROW_WIDTH * row
            if m[i + at.LATCHED] == 0 and (m[at.PHASE] != at.AT_RAMP or m[i + at.DEPTH] > s):
                least = min(least, row_slack(m, w, row))
        m[view + seen.BATCH_SLACK] = least


@inner
def look(m: Int, w: Int, c: Int, oldest: bool, slack: bool) -> bool:
    """Bring the view of this choice point into place; True if a PREFILL is possible here."""
    if m[at.PHASE] == at.DECIDE:
        prepare_decision(m, w, c)
        observe_decision(m, w, c, oldest, slack)
        return can_prefill(m, w, c)
    observe_ramp(m, w, c, slack)
    return False


@inner
def choose(m: Int, p: Int, prefill_possible: bool) -> tuple[int, int, int]:
    """(kind, pool, rule) of program `p` at this choice point, whose view is in place. Rule -1: none holds."""
    phase = m[at.PHASE]
    if phase == at.DECIDE:
        for i in range(p[NUM_LAUNCH]):
            rule = LAUNCH + 3 * i
            target = p[rule]
            if target == 0 and not prefill_possible:
                continue
            if target > 0 and m[at.TAIL + target] == m[at.HEAD + target]:
                continue
            if holds(m, p, p[rule + 1], p[rule + 2]):
                return at.DO_PREFILL if target == 0 else at.DO_IDLE if target < 0 else at.DO_RUN, max(0, target), i
        return at.DO_IDLE, 0, -1
    ramp = p[RAMPS_AT] + (m[at.SEGMENT] - 1) * (4 + 3 * p[NUM_RAMP_RULES])
    if phase == at.AT_CONSULT:
        return at.DO_CONSULT if holds(m, p, p[ramp], p[ramp + 1]) else at.DO_SKIP, 0, 0
    if phase == at.AT_JOIN:
        return at.DO_JOIN if holds(m, p, p[ramp + 2], p[ramp + 3]) else at.DO_APART, m[at.SEGMENT] + 1, 0
    for i in range(p[NUM_RAMP_RULES]):  # the last one holds always
        rule = ramp + 4 + 3 * i
        if holds(m, p, p[rule + 1], p[rule + 2]):
            return at.DO_SPLIT + p[rule], 0, i
    return at.DO_SPLIT, 0, -1
