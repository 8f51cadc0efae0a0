"""What a compiled policy chooses: observations from the memory, rules interpreted from integer programs.

Source: scheduling model, Decisions and Observations; programs from `policies.program`.
"""

from __future__ import annotations

from drex_runtime.policies.observation import (
    AGE,
    BUFFERED,
    OLDEST,
    POOL_BASE,
    POOL_WIDTH,
    SLACK,
    SLACK_CAP,
)
from drex_runtime.policies.program import (
    ADD,
    AND,
    CONST,
    EQ,
    LE,
    LT,
    MAX,
    MIN,
    MUL,
    NE,
    NOT,
    OR,
    VAR,
    Program,
)
from drex_runtime.simulator.memory import (
    ARRIVED,
    AT_CONSULT,
    AT_RAMP,
    BATCH,
    DECIDE,
    DECODES,
    DO_APART,
    DO_CONSULT,
    DO_IDLE,
    DO_JOIN,
    DO_PREFILL,
    DO_RUN,
    DO_SKIP,
    DO_SPLIT,
    DUE,
    ENTERED,
    EXITS,
    IN_FLIGHT,
    NEXT_BARE,
    NEXT_PROMPTED,
    NONE,
    NOW,
    PHASE,
    PLACE,
    PREFILLING,
    SEGMENT,
    UNPLACED,
    WAITING_PLACE,
    Int,
    Memory,
    Server,
    Work,
    enter_pool,
    inner,
)


@inner
def holds(code: Int, begin: int, end: int, view: Int, stack: Int) -> bool:
    """Interpret one condition. Program.code proves that nothing overflows and the stack suffices."""
    top = -1
    for j in range(begin, end):
        operation, argument = code[j, 0], code[j, 1]
        if operation == VAR:
            top += 1
            stack[top] = view[argument]
        elif operation == CONST:
            top += 1
            stack[top] = argument
        elif operation == NOT:
            stack[top] = 1 - stack[top]
        else:
            right = stack[top]
            top -= 1
            left = stack[top]
            if operation == ADD:
                stack[top] = left + right
            elif operation == MUL:
                stack[top] = left * right
            elif operation == LT:
                stack[top] = left < right
            elif operation == LE:
                stack[top] = left <= right
            elif operation == AND:
                stack[top] = left & right
            elif operation == OR:
                stack[top] = left | right
            elif operation == MIN:
                stack[top] = min(left, right)
            elif operation == MAX:
                stack[top] = max(left, right)
            elif operation == EQ:
                stack[top] = left == right
            elif operation == NE:
                stack[top] = left != right
    return stack[0] != 0


@inner
def prepare_decision(m: Memory, work: Work, server: Server, edf: bool) -> None:
    """Admit zero-prompt requests that have arrived, count ages: what precedes every next_launch."""
    census, now = m.scalars, m.scalars[NOW]
    while census[ARRIVED] < len(work.arrival) and work.arrival[census[ARRIVED]] <= now:
        census[ARRIVED] += 1
    while census[NEXT_BARE] < len(work.bare) and census[IN_FLIGHT] < server.max_num_seqs:
        row = work.bare[census[NEXT_BARE]]
        if m.rows[PLACE, row] == WAITING_PLACE:
            if work.arrival[row] > now:
                break
            enter_pool(m, work, edf, 1, row, now)
            census[IN_FLIGHT] += 1
            census[UNPLACED] -= 1
        census[NEXT_BARE] += 1
    for s in range(len(m.ages)):
        m.ages[s] = m.ages[s] + 1 if m.tail[s] > m.head[s] else 0


@inner
def can_prefill(m: Memory, work: Work, server: Server) -> bool:
    """Whether PREFILL has anything to process. Moves NEXT_PROMPTED past finished prompts."""
    census = m.scalars
    while census[NEXT_PROMPTED] < len(work.prompted):
        row = work.prompted[census[NEXT_PROMPTED]]
        place = m.rows[PLACE, row]
        if place == WAITING_PLACE:
            return work.arrival[row] <= census[NOW] and census[IN_FLIGHT] < server.max_num_seqs
        if place == PREFILLING:
            return True
        census[NEXT_PROMPTED] += 1
    return False


@inner
def observe_decision(m: Memory, work: Work, server: Server, oldest: bool, slack: bool) -> None:
    """Fill the launch view; `oldest_s` and `slack_s` only if asked for (else left as they are)."""
    census, view, now = m.scalars, m.observed, m.scalars[NOW]
    view[0] = census[UNPLACED] - (len(work.arrival) - census[ARRIVED])
    view[1] = census[IN_FLIGHT]
    view[2] = server.max_num_seqs - census[IN_FLIGHT]
    view[3] = m.tail[0] - m.head[0]
    view[4] = census[DECODES]
    view[5], view[6] = server.batch_max, server.max_num_seqs
    for s in range(len(m.ages)):
        at = POOL_BASE + POOL_WIDTH * s
        view[at + BUFFERED] = m.tail[s] - m.head[s]
        view[at + AGE] = m.ages[s]
        if oldest:
            first = now
            for j in range(m.head[s], m.tail[s]):
                first = min(first, m.rows[ENTERED, m.pool[s, j]])
            view[at + OLDEST] = now - first
        if slack:
            least = SLACK_CAP
            if work.has_dues:
                for j in range(m.head[s], m.tail[s]):
                    due = m.rows[DUE, m.pool[s, j]]
                    if due != NONE and due >= now:
                        least = min(least, due - now)
            view[at + SLACK] = least


@inner
def observe_ramp(m: Memory, server: Server) -> None:
    """Fill the ramp view."""
    census, segment = m.scalars, m.scalars[SEGMENT]
    m.observed[0], m.observed[1], m.observed[2] = segment, census[BATCH], census[EXITS]
    m.observed[3], m.observed[4] = m.tail[segment] - m.head[segment], server.batch_max


@inner
def choose(m: Memory, program: Program, prefill_possible: bool) -> tuple[int, int, int]:
    """(kind, pool, rule) of `program` at this choice point, whose view is in place. Rule -1: none holds."""
    code, view, stack = program.code, m.observed, m.stack
    phase, ramp = m.scalars[PHASE], m.scalars[SEGMENT] - 1
    if phase == DECIDE:
        for i in range(len(program.launch_target)):
            target = program.launch_target[i]
            if target == 0 and not prefill_possible:
                continue
            if target > 0 and m.tail[target - 1] == m.head[target - 1]:
                continue
            if holds(code, program.launch_span[i, 0], program.launch_span[i, 1], view, stack):
                if target == 0:
                    return DO_PREFILL, 0, i
                if target < 0:
                    return DO_IDLE, 0, i
                return DO_RUN, target, i
        return DO_IDLE, 0, -1
    if phase == AT_CONSULT:
        if holds(code, program.consult_span[ramp, 0], program.consult_span[ramp, 1], view, stack):
            return DO_CONSULT, 0, 0
        return DO_SKIP, 0, 0
    if phase == AT_RAMP:
        for i in range(program.ramp_action.shape[1]):
            if holds(code, program.ramp_span[ramp, i, 0], program.ramp_span[ramp, i, 1], view, stack):
                return DO_SPLIT + program.ramp_action[ramp, i], 0, i
        return DO_SPLIT, 0, -1  # not reached: the last ramp rule holds always
    if holds(code, program.join_span[ramp, 0], program.join_span[ramp, 1], view, stack):
        return DO_JOIN, ramp + 2, 0
    return DO_APART, 0, 0
