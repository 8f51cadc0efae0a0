"""Policy tables as plain callables for the independent simulation, and random tables from the grammar.

Defaults, ART and the flush prediction are worked out here from the scheduling model's formulas, so that the
product's own binding of tables is checked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil, floor
from random import Random
from typing import Any

from drex_runtime.policies.expressions import lambdified, parse_condition, parse_scalar
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, RampRule
from drex_runtime.records import CostProfile, ServerConfig
from tests.independent.model import Rules, View

Number = int | Fraction
Test = Callable[[View], bool]


def pass_time(profile: CostProfile, first: int, last: int, rows: int) -> int:
    """Segments first..last and the ramps behind them (none behind the LM head) at the reference context."""
    context = rows * profile.meta.reference_context
    segments = sum(profile.segment_cost(s, rows, context) for s in range(first, last + 1))
    return segments + sum(profile.ramp_cost(s, rows) for s in range(first, min(last, profile.num_segments - 1) + 1))


def art(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """c / t_d = (start + rebatch) / (start + rebatch + the rest of the pass)."""
    extra = profile.starts[ramp - 1] + profile.rebatch
    return Fraction(extra, extra + pass_time(profile, ramp + 1, profile.num_segments, rows))


def paying_rows(profile: CostProfile, ramp: int, rows: int) -> dict[str, Fraction]:
    """Rows whose exits pay for a split run on at once, and for the ramp: ticks / ticks of a row, up to thousandths."""
    whole, one = (pass_time(profile, ramp + 1, profile.num_segments, count) for count in (rows, 1))
    costs = {"break_even": profile.starts[ramp - 1] + profile.rebatch + profile.kv_fill.fixed,
             "toll": profile.ramp_cost(ramp, rows),
             "doubt": ceil(Fraction(profile.meta.fit_error or 0).limit_denominator(10**6)
                           * pass_time(profile, 1, profile.num_segments, rows)),
             "pass_rows": profile.rebatch + floor(max(0, profile.starts[ramp - 1] + whole
                                                      - Fraction(rows * (whole - one), max(rows - 1, 1))))}
    of_row = Fraction(whole - one, max(rows - 1, 1)) - profile.kv_fill.per_row
    if rows < 2 or of_row <= 0:
        return dict.fromkeys(costs, Fraction(10**6))
    return {name: min(Fraction(10**6), Fraction(-(-1000 * ticks // of_row), 1000)) for name, ticks in costs.items()}


def emptying(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """Ramp / (rest of the pass - fill), up to thousandths, at most 2."""
    saved = pass_time(profile, ramp + 1, profile.num_segments, rows) - profile.fill_cost(rows)
    thousandths = -(-1000 * profile.ramp_cost(ramp, rows) // saved) if saved > 0 else 2000
    return Fraction(min(thousandths, 2000), 1000)


def parameter_values(policy: Policy, profile: CostProfile, config: ServerConfig) -> dict[str, Number]:
    """Defaults of a policy's parameters, integers rounded down; per-ramp and per-buffer ones are named `name@index`."""
    values: dict[str, Number] = {"batch_max": config.batch_max, "n_max": config.max_num_seqs}
    for parameter in policy.parameters:
        ks = {"policy": [0], "ramp": range(1, profile.num_segments),
              "pool": range(2, profile.num_segments + 1)}[parameter.scope]
        for k in ks:
            known = dict(values)
            rows = min(int(values.get("batch_limit", 1)), config.batch_max)
            if parameter.scope == "ramp":
                known |= {"art": art(profile, k, rows), **paying_rows(profile, k, rows),
                          "empty_share": emptying(profile, k, rows)}
                known["park_time"] = (profile.fill_cost(rows) + profile.rebatch + profile.start_cost(k + 1)
                                      + pass_time(profile, k + 1, profile.num_segments, rows))
            known["pass_time"] = (max((0, *profile.starts)) + pass_time(profile, 1, profile.num_segments, rows)
                                  + profile.fill_cost(rows) + profile.rebatch)
            used = sorted(item.name for item in parameter.default.free_symbols)
            value = lambdified(parameter.default, used)(*(known[name] for name in used))
            exact = Fraction(str(value))
            values[f"{parameter.name}@{k}" if k else parameter.name] = floor(exact) if parameter.integer else exact
    return values


def rules_of(policy: Policy, profile: CostProfile, config: ServerConfig) -> Rules:
    """The table with default parameters as plain callables."""
    values = parameter_values(policy, profile, config)
    limit = int(values["batch_limit"])

    def test(condition: Any, index: int) -> Test:
        """A condition as a function of the view, inside the pool or ramp `index` (0: neither)."""
        used = sorted(item.name for item in condition.free_symbols)
        function = lambdified(condition, used)

        def look_up(name: str, view: View) -> Number:
            if name == "deep_time":
                rows = min(view[f"buffered_{index}"], limit, config.batch_max)
                return profile.start_cost(index) + pass_time(profile, index, profile.num_segments, rows)
            if name in ("buffered", "age", "oldest", "slack"):
                return view[f"{name}_{index}"]
            if name in view:
                return view[name]
            return values[name] if name in values else values[f"{name}@{index}"]

        return lambda view: bool(function(*(look_up(name, view) for name in used)))

    rows: list[tuple[str, str, int, Test]] = []
    i = 0
    while i < len(policy.launch):
        if policy.launch[i].action == "RUN(s)":
            block = []
            while i < len(policy.launch) and policy.launch[i].action == "RUN(s)":
                block.append(policy.launch[i])
                i += 1
            for s in range(profile.num_segments, 1, -1):
                rows += [(rule.name, "RUN", s, test(rule.when, s)) for rule in block]
        else:
            rule = policy.launch[i]
            kind, pool = ("RUN", int(rule.action[4:-1])) if rule.action.startswith("RUN") else (rule.action, 0)
            rows.append((rule.name, kind, pool, test(rule.when, 0)))
            i += 1

    def launch(view: View) -> Iterator[tuple[str, str, int]]:
        for name, kind, pool, when in rows:
            if pool and not view[f"buffered_{pool}"]:
                continue  # not possible; conditions need not make sense for an empty pool
            if when(view):
                yield name, kind, pool

    ramps = range(1, profile.num_segments)
    consult = {s: test(policy.consult, s) for s in ramps}
    join = {s: test(policy.join, s) for s in ramps}
    at_ramp = {s: [(rule.name, rule.action, test(rule.when, s)) for rule in policy.ramp] for s in ramps}

    def decide(view: View) -> tuple[str, str]:
        return next((name, action) for name, action, when in at_ramp[view["segment"]] if when(view))

    return Rules(launch, lambda view: consult[view["segment"]](view), decide,
                 lambda view: join[view["segment"]](view), limit, policy.order == "edf")


# -- random tables --------------------------------------------------------------------------------------------------

GLOBALS = ("waiting", "in_flight", "free_places", "ready", "decodes_since_prefill", "batch_max", "n_max")
AT_RAMP = ("segment", "batch", "exits", "buffered_next", "batch_max", "batch_slack", "recent_consults", "recent_rows",
           "recent_exits", "recent_emptied", "passes_unseen")


def random_policy(seed: int, num_segments: int, *, forced: bool = False, dead_ends: bool = False) -> Policy:
    """A random table. `forced`: with EXIT_ALL or RELEASE; `dead_ends`: its rules may idle for ever."""
    random = Random(f"policy {seed} {num_segments}")
    parameters = [Parameter("batch_limit", parse_scalar(random.choice(("batch_max", "batch_max", "1", "2", "3")), "b"),
                            Fraction(1), None, True)]
    for name, scope in (("alpha", "policy"), ("beta", "policy"), ("gamma", "ramp"), ("delta", "pool")):
        text = random.choice(("0.5", "1", "2", "1/3", "0.58", "3", "n_max - 1", "batch_limit", "7"))
        if scope == "ramp" and random.random() < 0.5:
            text = random.choice(("art", "art + 0.5", "2*art"))
        parameters.append(Parameter(name, parse_scalar(text, name), scope=scope))  # type: ignore[arg-type]

    def atom(names: tuple[str, ...], own: tuple[str, ...]) -> str:
        def term() -> str:
            name = random.choice(names)
            match random.randrange(8):
                case 0:
                    return f"{random.choice(('2', '0.5', '3/2', '-1'))}*{name}"
                case 1:
                    return f"{name}*{random.choice(names)}"
                case 2:
                    return f"{random.choice(('min', 'max'))}({name}, {random.choice(names)})"
                case 3:
                    return f"{random.choice(own)}*{name}"
            return name

        left = term() if random.random() < 0.7 else f"{term()} + {term()}"
        right = random.choice((term(), str(random.randint(0, 4)), str(random.randint(0, 40)), random.choice(own),
                               "0.58*" + random.choice(names)))
        return f"{left} {random.choice(('<', '<=', '>', '>=', '>=', '==', '!='))} {right}"

    def condition(names: tuple[str, ...], own: tuple[str, ...]) -> Any:
        parts = [atom(names, own) for _ in range(random.choice((1, 1, 2, 3)))]
        text = f" {random.choice(('and', 'or'))} ".join(parts)
        return parse_condition(f"not ({text})" if random.random() < 0.1 else text, "random")

    pools = tuple(f"{name}_{s}" for s in range(1, num_segments + 1) for name in ("buffered", "age", "oldest", "slack"))
    per_pool = ("buffered", "age", "oldest", "slack", "deep_time")
    launch = []
    actions = ["PREFILL", "RUN(1)", "RUN(s)", "RUN(s)", "RUN(s)", "IDLE"]
    actions += [f"RUN({s})" for s in range(2, num_segments + 1)]
    for i in range(random.randint(0, 5)):
        action = random.choice(actions)
        if action == "RUN(s)":
            when = condition((*per_pool, *per_pool, *GLOBALS), ("alpha", "beta", "delta", "batch_limit"))
        else:
            when = condition((*GLOBALS, *pools), ("alpha", "beta", "batch_limit"))
            if action == "IDLE" and not dead_ends:
                # Idle only where something may come: nothing runnable is ever left waiting for ever.
                when = parse_condition("waiting + in_flight < 1", "idle")
        launch.append(LaunchRule(f"rule{i}", action, when))
    last = [LaunchRule("prefill", "PREFILL"), LaunchRule("decode", "RUN(1)"), LaunchRule("drain", "RUN(s)")]
    random.shuffle(last)
    if dead_ends and random.random() < 0.5:
        last.pop()
    ramp_own = ("alpha", "beta", "gamma", "batch_limit")

    def ramp_condition() -> Any:
        return random.choice((condition(AT_RAMP, ramp_own), parse_condition("always", ""),
                              condition(AT_RAMP, ramp_own), parse_condition("never", "")))

    kinds = ("SPLIT", "CONTINUE", "EXIT_ALL", "RELEASE") if forced else ("SPLIT", "CONTINUE")
    ramp = [RampRule(f"ramp{i}", random.choice(kinds), condition(AT_RAMP, ramp_own))  # type: ignore[arg-type]
            for i in range(random.randint(0, 3))]
    ramp.append(RampRule("otherwise", random.choice(kinds)))  # type: ignore[arg-type]
    consult = parse_condition("always", "") if random.random() < 0.5 else ramp_condition()
    return Policy(f"random-{seed}", tuple(parameters), (*launch, *last), consult, tuple(ramp), ramp_condition(),
                  random.choice(("fcfs", "fcfs", "edf")))
