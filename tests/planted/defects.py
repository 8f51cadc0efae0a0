"""Defects planted in healthy policies, each verified by simulation to be costly and to be the only one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import sympy

from drex_runtime.policies.expressions import Condition, parse_condition
from drex_runtime.policies.table import LaunchRule, Policy
from drex_runtime.policies.text import condition_text
from tests.planted.environments import (
    FRESH,
    LABEL_WORKLOADS,
    Candidate,
    Environment,
    environment,
    healthy,
    objectives,
)
from xplain.explain.record import Diagnosis

LEAST_LOSS, HEALTHY_GAP = 0.08, 0.02
ONE_DEFECT = 0.8  # of the loss: a policy that another change cures as far has no single cause


@dataclass(frozen=True)
class Case:
    """A policy to be analysed, with its label: `family` None = healthy. `rules`, `atoms`: any of them is right."""

    env: Environment
    candidate: Candidate
    family: str | None = None
    site: str = ""
    kind: str = ""
    rules: frozenset[str] = frozenset()
    atoms: frozenset[str] = frozenset()
    loss: float = 0.0

    def right(self, found: Diagnosis) -> bool:
        """Whether the verdict, and with a defect the first blame, agree with the label."""
        if self.family is None:
            return found.verdict == "none"
        cause = found.cause
        return (cause is not None and (cause.site, cause.kind) == (self.site, self.kind) and cause.rule in self.rules
                and (not self.atoms or cause.atom in self.atoms))


def defects(env: Environment, candidate: Candidate, random: Random) -> Iterator[Case]:
    """Every defect that can be planted in this policy, not yet verified."""
    policy, settings = candidate.policy, dict(candidate.settings)
    decode = next(i for i, rule in enumerate(policy.launch) if rule.action == "RUN(1)")
    flush = [rule.name for rule in policy.launch[:decode] if rule.is_family]
    split = next((rule for rule in policy.ramp if rule.action == "SPLIT"), None)
    prefill = next(rule for rule in policy.launch if rule.action == "PREFILL")
    rows = env.config.batch_max

    def case(family: str, changed: Policy, site: str, kind: str, rules: Sequence[str], atoms: Sequence[str] = (),
             given: dict[str, str] | None = None) -> Case:
        chosen = settings if given is None else given
        return Case(env, Candidate(changed, tuple(sorted(chosen.items()))), family, site, kind, frozenset(rules),
                    frozenset(atoms))

    def launch(names: Sequence[str], when: Condition) -> Policy:
        return replace(policy, launch=tuple(replace(rule, when=when) if rule.name in names else rule
                                            for rule in policy.launch))

    if flush:
        late = parse_condition(f"buffered >= {rows + random.randint(1, 3)}", "late")
        yield case("late flush", launch(flush, late), "launch", "missed", flush, [condition_text(late)])
        never = random.choice((sympy.false, parse_condition("buffered > n_max", "never")))
        yield case("never flushes", launch(flush, never), "launch", "missed", flush, [condition_text(never)])
        early = parse_condition("buffered >= 1", "early")
        yield case("flushes too early", launch(flush[:1], early), "launch", "fired", flush[:1], [condition_text(early)])
        order = [rule for rule in policy.launch if rule.name not in flush]
        place = order.index(policy.launch[decode]) + 1
        order[place:place] = [rule for rule in policy.launch if rule.name in flush]
        swapped = replace(policy, launch=tuple(order))
        yield case("wrong order", swapped, "launch", "fired", [policy.launch[decode].name])
    if split is not None:
        def ramp(when: Condition) -> Policy:
            return replace(policy, ramp=tuple(replace(rule, when=when) if rule.name == split.name else rule
                                              for rule in policy.ramp))

        easy = parse_condition(random.choice(("exits >= 0", "exits >= 1")), "easy")
        yield case("splits too readily", ramp(easy), "ramp", "fired", [split.name], [condition_text(easy)])
        hard = parse_condition(random.choice(("exits > 2*batch", f"exits >= {rows + 1}")), "hard")
        yield case("never splits", ramp(hard), "ramp", "missed", [split.name], [condition_text(hard)])
        yield case("has no split", replace(policy, ramp=(policy.ramp[-1],)), "ramp", "fired", [policy.ramp[-1].name])
    if "flush_size" in settings or not candidate.settings:
        small = str(random.randint(1, max(1, rows // 2)))
        yield case("launches too small", policy, "launch", "batch_limit", ["batch_limit"],
                   given={**settings, "batch_limit": small})
    yield case("consults for nothing", replace(policy, consult=sympy.true), "consult", "fired", ["consult"])
    off = random.choice(("never", "batch > batch_max"))
    yield case("never consults", replace(policy, consult=parse_condition(off, "off")), "consult", "missed", ["consult"],
               [off])
    if env.profile.num_segments > 2:
        one = parse_condition(f"segment >= {random.choice((2, 3))}", "one")
        yield case("consults too late", replace(policy, consult=one), "consult", "missed", ["consult"],
                   [condition_text(one)])
    alone = parse_condition(random.choice(("never", f"buffered_next > {env.config.max_num_seqs}")), "alone")
    yield case("join missing", replace(policy, join=alone), "join", "missed", ["join"], [condition_text(alone)])
    idle = parse_condition(random.choice(("ready >= 1 and age_1 <= 1", "ready == 1 and age_1 <= 1",
                                          "in_flight <= n_max and age_1 == 1")), "idle")
    yield case("idles", replace(policy, launch=(LaunchRule("patience", "IDLE", idle), *policy.launch)), "launch",
               "fired", ["patience"], [condition_text(idle)])
    if env.prompts:
        rare = parse_condition("decodes_since_prefill >= 40 or ready + in_flight == 0", "rare")
        yield case("starves prefill", launch([prefill.name], rare), "launch", "missed", [prefill.name],
                   [condition_text(item) for item in rare.args])


def alternatives(case: Case) -> Iterator[Candidate]:
    """The planted policy with something else changed than what was planted."""
    policy, rows, ramps = case.candidate.policy, case.env.config.batch_max, case.env.profile.num_segments - 1

    def conditions(*texts: str) -> list[Condition]:
        return [parse_condition(text, "alternative") for text in texts]

    sizes = [f"buffered >= {size}" for size in range(1, rows + 1)]
    for index, rule in enumerate(policy.launch):
        options = {"PREFILL": conditions("always", "ready == 0"), "RUN(s)": conditions("never", "ready == 0", *sizes)}
        for when in options.get(rule.action, []):
            if rule.name not in case.rules and rule.when != sympy.true:
                launch = (*policy.launch[:index], replace(rule, when=when), *policy.launch[index + 1:])
                yield replace(case.candidate, policy=replace(policy, launch=launch))
    for when in conditions("always", "never", *(f"segment == {ramp}" for ramp in range(1, ramps + 1))):
        if case.site != "consult":
            yield replace(case.candidate, policy=replace(policy, consult=when))
    for when in conditions("always", "never"):
        if case.site != "join":
            yield replace(case.candidate, policy=replace(policy, join=when))
    for when in conditions("never", *(f"exits >= {exits}" for exits in range(rows + 1))):
        if case.site != "ramp" and len(policy.ramp) > 1:
            ramp = (replace(policy.ramp[0], when=when), *policy.ramp[1:])
            yield replace(case.candidate, policy=replace(policy, ramp=ramp))


def verified(case: Case) -> tuple[Case | None, str]:
    """The case with its loss if simulation says that the defect costs enough and that it is the one defect: that no
    change elsewhere wins back nearly as much as mending it; else why not."""
    before, _ = healthy(case.env)
    sound = objectives(case.env, before, FRESH, LABEL_WORKLOADS)
    planted = objectives(case.env, case.candidate, FRESH, LABEL_WORKLOADS)
    ratio = planted / sound - 1
    loss, half = float(ratio.mean()), 1.96 * float(ratio.std(ddof=1)) / len(ratio) ** 0.5
    if loss - half < LEAST_LOSS:
        return None, "not costly"
    others = [float((objectives(case.env, item, FRESH, LABEL_WORKLOADS) / sound - 1).mean())
              for item in alternatives(case)]
    if min(others, default=loss) < (1 - ONE_DEFECT) * loss:
        return None, "cured elsewhere too"
    return replace(case, loss=loss), ""


def cases(seed: int, defective: int, sound: int, *, tries: int = 400) -> tuple[list[Case], Counter[str]]:
    """Cases of both kinds, and how many planted policies were dropped, by reason.

    No family has more than an eighth of the cases while environments are left to try, so that the rare ones come up.
    """
    most = -(-defective // 8)
    planted: list[Case] = []
    good: list[Case] = []
    counts, dropped = Counter[str](), Counter[str]()
    index = 1_000_000 * seed
    while len(planted) < defective or len(good) < sound:
        tries -= 1
        env = environment(index)
        index += 1
        random = Random(f"plant {env.name}")
        chosen, gap = healthy(env)
        if gap > HEALTHY_GAP:
            continue
        if len(good) < sound and random.random() < 0.5:
            good.append(Case(env, chosen))
            continue
        if len(planted) == defective:
            continue
        costly = []
        for case in defects(env, chosen, random):
            found, why = verified(case)
            dropped[why] += found is None
            if found is not None:
                costly.append(found)
        costly = [item for item in costly if counts[str(item.family)] < most or tries < 0]
        if costly:  # the rarest family first, so that all occur
            rarest = min(costly, key=lambda item: (counts[str(item.family)], random.random()))
            counts[str(rarest.family)] += 1
            planted.append(rarest)
    return [*planted, *good], dropped
