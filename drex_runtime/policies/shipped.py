"""The policies that ship: DREX, what it is compared with, and the published baselines.

Source: scheduling model, section Policies to ship. All share the launch order: for s from the deepest
buffer to 2 the first flush rule that holds at s; then prefill, decode, drain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from drex_runtime.errors import InputError
from drex_runtime.policies.expressions import parse_condition, parse_scalar
from drex_runtime.policies.observation import WINDOW
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, PoolOrder, RampAction, RampRule, Scope


def _parameter(name: str, default: str, low: int | str | None, high: int | str | None, unit: str, meaning: str, *,
               integer: bool = True, scope: Scope = "policy") -> Parameter:
    return Parameter(name, parse_scalar(default, name), None if low is None else Fraction(low),
                     None if high is None else Fraction(high), integer, unit, meaning, scope)


BATCH_LIMIT = _parameter("batch_limit", "batch_max", 1, None, "rows",
                         "most rows of a RUN launch; never above batch_max")
PUBLISHED_LIMIT = _parameter("batch_limit", "max(1, n_max*0.5 - 0.5)", 1, None, "rows",
                             "most rows of a RUN launch; the original provisions N = 2*batch_limit + 1")
PREFILL_GAP = _parameter("decodes_between_prefills", "0", 0, 10**6, "launches",
                         "RUN(1) launches between two PREFILL launches while rows are ready")
CONSULT = _parameter("consult_ramp", "1", 0, 1, "0 or 1", "whether this ramp is consulted at all", scope="ramp")
MARGIN = _parameter("margin", "0", 0, 2**50, "ticks", "head start given to rows with a due date")
DUE_MARGIN = _parameter("margin", "pass_time", 0, 2**50, "ticks",
                        "head start given to rows with a due date; default: the longest launch that may come between")
URGENT_SLACK = _parameter("urgent_slack", "park_time + margin", 0, 2**50, "ticks",
                          "time left of a row below which its batch is neither looked at nor split", scope="ramp")
FLUSH_SIZE = _parameter("flush_size", "batch_limit", 1, None, "rows", "buffered rows at which a buffer is flushed")


def _launch(*flush: tuple[str, str]) -> tuple[LaunchRule, ...]:
    rules = [LaunchRule(name, "RUN(s)", parse_condition(when, name)) for name, when in flush]
    due = parse_condition("decodes_since_prefill >= decodes_between_prefills or ready == 0", "prefill")
    return (*rules, LaunchRule("prefill", "PREFILL", due), LaunchRule("decode", "RUN(1)"),
            LaunchRule("drain", "RUN(s)"))


def _ramp(*rules: tuple[str, RampAction, str]) -> tuple[RampRule, ...]:
    return tuple(RampRule(name, action, parse_condition(when, name)) for name, action, when in rules)


def _policy(name: str, description: str, *, flush: Sequence[tuple[str, str]] = (), consult: str = "always",
            ramp: Sequence[tuple[str, RampAction, str]] = (("stay", "CONTINUE", "always"),), join: str = "never",
            extra: Sequence[Parameter] = (), batch_limit: Parameter = BATCH_LIMIT, order: PoolOrder = "fcfs") -> Policy:
    return Policy(name, (batch_limit, *extra, PREFILL_GAP), _launch(*flush), parse_condition(consult, "consult"),
                  _ramp(*ramp), parse_condition(join, "join"), order, description)


def _drex(name: str = "drex", batch_limit: Parameter = BATCH_LIMIT, margin: Parameter = MARGIN,
          order: PoolOrder = "fcfs") -> Policy:
    extra = (
        FLUSH_SIZE,
        _parameter("max_age", "100", 1, 10**9, "decisions", "age at which a buffer is flushed"),
        _parameter("alpha", "0", 0, 1000, "1/decision", "how much a buffer counts fuller per decision of age",
                   integer=False),
        margin,
        _parameter("art_factor", "art", 0, 10**6, "rows/row",
                   "share of the batch that must exit for a split; default c/t_d of the profile",
                   integer=False, scope="ramp"),
        _parameter("drain_min", "1", 1, 10**9, "rows", "buffered rows from which a passing batch is joined"),
        CONSULT,
    )
    return _policy(
        name, "Dynamic rebatching: split when ART says it pays, flush when the buffer is full, old or due.",
        flush=(("flush_full", "buffered*(1 + alpha*age) >= batch_limit"), ("flush_size", "buffered >= flush_size"),
               ("flush_age", "age >= max_age"), ("flush_due", "slack <= deep_time + margin")),
        consult="consult_ramp >= 1",
        ramp=(("split", "SPLIT", "exits > art_factor*batch"), ("stay", "CONTINUE", "always")),
        join="buffered_next >= drain_min", extra=extra, batch_limit=batch_limit, order=order)


def _drex_due() -> Policy:
    """`drex` for due dates: the same table, but a batch with an urgent row goes on at once, its ramps unpaid for.

    Urgent: a row parked now could miss its date if another launch came before its buffer's. Such a batch does what full
    passes in the order of due dates would do; a row with more slack has the longest pass's time for this token and each
    later one, so what a split takes from it is never lacking. Hence a date that full passes meet is met.
    """
    drex = _drex("drex-due", margin=DUE_MARGIN, order="edf")
    after = drex.parameters.index(DUE_MARGIN) + 1
    urgent = RampRule("urgent", "CONTINUE", parse_condition("batch_slack < urgent_slack", "urgent"))
    consult = parse_condition("consult_ramp >= 1 and batch_slack >= urgent_slack", "consult")
    parameters = (*drex.parameters[:after], URGENT_SLACK, *drex.parameters[after:])
    return replace(drex, parameters=parameters, consult=consult, ramp=(urgent, *drex.ramp),
                   description="drex for due dates: earliest first, and a batch with an urgent row goes on at once.")


def _adaptive() -> Policy:
    """Consult a ramp while its exits have lately paid for it, look again every `probe_every` passes.

    What pays: of a consult the rows that left beyond the cost of a second pass, and the rest of a pass where all left,
    against the ramp itself. Prices are those of the profile, and a fit that is 5 % off can take a loss of 5 % for a
    gain; so a gain must exceed the doubt to begin with, and half of it to go on (without that difference a few unlucky
    batches would end it, and only probes could bring it back).
    """
    extra = (
        _parameter("split_rows", "break_even", 0, 10**6, "rows",
                   "exits above which a batch is split; default: what a second pass costs, in rows", integer=False,
                   scope="ramp"),
        _parameter("toll_rows", "toll", 0, 10**6, "rows", "what consulting the ramp costs, in rows", integer=False,
                   scope="ramp"),
        _parameter("emptied_rows", "pass_rows", 0, 10**6, "rows",
                   "what a batch that leaves whole saves beyond its rows", integer=False, scope="ramp"),
        _parameter("doubt_rows", "doubt", 0, 10**6, "rows",
                   "gain below which nothing is risked; default: what the profile's fit cannot tell", integer=False,
                   scope="ramp"),
        _parameter("emptied_share", "empty_share", 0, 2, "consults/consult",
                   "share of recent consults at which the whole batch left, from which consulting pays", integer=False,
                   scope="ramp"),
        _parameter("warm_up", "4", 0, WINDOW // 2, "consults", "consults before the statistics are believed"),
        _parameter("probe_every", "64", 1, 10**9, "passes", "unconsulted passes after which a ramp is consulted"),
        CONSULT,
    )
    return _policy(
        "adaptive", "Consult a ramp while it pays, probe it now and then otherwise; split, then run the buffer next.",
        flush=(("flush", "buffered >= 1"),),
        consult="consult_ramp >= 1 and (recent_consults < warm_up or passes_unseen >= probe_every"
                " or recent_exits + emptied_rows*recent_emptied"
                " > (split_rows + toll_rows + doubt_rows)*recent_consults"
                " or passes_unseen < 1 and recent_exits + emptied_rows*recent_emptied"
                " > (split_rows + toll_rows + 0.5*doubt_rows)*recent_consults"
                " or recent_emptied > emptied_share*recent_consults)",
        ramp=(("split", "SPLIT", "exits > split_rows + doubt_rows"), ("stay", "CONTINUE", "always")),
        join="buffered_next >= 1", extra=extra)


def _shipped() -> dict[str, Policy]:
    always_split: tuple[tuple[str, RampAction, str], ...] = (("split", "SPLIT", "exits >= split_min"),
                                                             ("stay", "CONTINUE", "always"))
    split_min = _parameter("split_min", "0", 0, None, "rows",
                           "exits from which a batch is split; 0 splits always, as published")
    policies = (
        _drex(),
        _drex("drex-published", PUBLISHED_LIMIT),
        _drex_due(),
        _adaptive(),
        # Its buffers never fill; the flush rule matters only where it continues another policy's state (V_ref).
        _policy("no-exit", "Every token runs to full depth; ramps are never consulted.",
                flush=(("flush", "buffered >= 1"),), consult="never"),
        _policy("flush-now", "Split always, then run the buffer next.",
                flush=(("flush", "buffered >= 1"),), consult="consult_ramp >= 1", ramp=always_split,
                join="buffered_next >= 1", extra=(split_min, CONSULT)),
        _policy("threshold", "Split always, run the buffer when it holds flush_size rows.",
                flush=(("flush_size", "buffered >= flush_size"),), consult="consult_ramp >= 1", ramp=always_split,
                join="buffered_next >= 1", extra=(FLUSH_SIZE, split_min, CONSULT)),
        _policy("consensus", "Baseline: the batch leaves only when all its rows are ready."),
        _policy("majority", "Baseline: all rows leave when more than half are ready (forces exits).",
                ramp=(("majority", "EXIT_ALL", "2*exits > batch"), ("stay", "CONTINUE", "always"))),
        _policy("greedy", "Baseline: all rows leave when one is ready (forces exits).",
                ramp=(("greedy", "EXIT_ALL", "exits >= 1"), ("stay", "CONTINUE", "always"))),
        _policy("latency-only", "Baseline: ready tokens are stamped at the ramp, rows run on (saves no compute).",
                ramp=(("release", "RELEASE", "exits >= 1"), ("stay", "CONTINUE", "always"))),
    )
    return {policy.name: policy for policy in policies}


SHIPPED = _shipped()


def shipped_policy(name: str) -> Policy:
    """A shipped policy by name; InputError listing the names otherwise."""
    if name not in SHIPPED:
        raise InputError("policy", "name", name, f"one of {', '.join(SHIPPED)}")
    return SHIPPED[name]
