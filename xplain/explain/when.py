"""When is a rule wrong? A shallow regression tree of its regret over the observations at its decisions.

Population: decisions at which the rule chose (kind `fired`), or could have chosen and did not (`missed`). Fitted on
every other workload, scored on the rest, so that no workload is on both sides. Source: analyzer design, Explanations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeRegressor

from drex_runtime.policies.bind import PREFILL, BoundPolicy
from drex_runtime.policies.observation import RAMP_NAMES, LaunchSpace
from drex_runtime.scheduling.state import Kind, Phase
from xplain.explain.many import Attributed, Decision
from xplain.explain.record import Site, WrongWhen
from xplain.records import Predicate
from xplain.regions.score import wilson
from xplain.report.units import duration

SITES: dict[Phase, Site] = {Phase.DECIDE: "launch", Phase.CONSULT: "consult", Phase.RAMP: "ramp", Phase.JOIN: "join"}
DEPTH = 3
LEAST = 8  # decisions in a leaf
CAPTURED = 0.8  # of the regret, by the leaves that are reported
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A rule and how it may be wrong, at one kind of choice."""

    site: Site
    kind: str
    rule: str


def suspect_of(decision: Decision, kind: str, rule: str) -> Suspect:
    """The suspect that a part of this decision's regret counts for."""
    return Suspect(SITES[decision.phase], kind, rule)


@dataclass(frozen=True)
class Population:
    """Decisions of a suspect as a table: `values[i, j]` = variable `names[j]`, `regret[i]` blamed on it, in ticks."""

    names: tuple[str, ...]
    values: Floats
    regret: Floats
    workload: npt.NDArray[np.int64]


def population(policy: BoundPolicy, attributed: Iterable[Attributed], suspect: Suspect) -> Population:
    """All decisions at which the suspect chose or could have chosen."""
    names = LaunchSpace(policy.num_segments).names if suspect.site == "launch" else RAMP_NAMES
    rows, regret, workloads = [], [], []
    for item in attributed:
        for decision in item.decisions:
            if SITES[decision.phase] == suspect.site and _concerned(policy, decision, suspect):
                rows.append(decision.view)
                regret.append(sum(part.ticks for part in decision.parts
                                  if (part.cause.kind, part.cause.rule) == (suspect.kind, suspect.rule)))
                workloads.append(decision.workload)
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    return Population(tuple(names), values, np.array(regret, np.float64), np.array(workloads, np.int64))


def _concerned(policy: BoundPolicy, decision: Decision, suspect: Suspect) -> bool:
    """Whether the suspect chose here (fired, batch_limit), or was passed over (missed)."""
    yes = decision.action.kind in (Kind.CONSULT, Kind.JOIN)
    if suspect.kind == "batch_limit":
        return decision.action.kind == Kind.RUN
    if suspect.site in ("consult", "join"):
        return yes == (suspect.kind != "missed")
    if suspect.kind != "missed":
        return decision.rule == suspect.rule
    order = [rule.name for rule in (policy.policy.launch if suspect.site == "launch" else policy.policy.ramp)]
    place = order.index(suspect.rule)
    fired = order.index(decision.rule) if decision.rule in order else len(order)
    return place < fired and (suspect.site == "ramp" or _possible(policy, decision, suspect.rule))


def _possible(policy: BoundPolicy, decision: Decision, rule: str) -> bool:
    """Whether one of the launches of this rule has rows (or prompts) to take."""
    seen = dict(zip(LaunchSpace(policy.num_segments).names, decision.view, strict=True))
    targets = [item.target for item in policy.rules.launch if item.name == rule]
    return any(seen["waiting"] > 0 if target == PREFILL else target < 0 or seen[f"buffered_{target}"] > 0
               for target in targets)


def wrong_when(policy: BoundPolicy, attributed: Sequence[Attributed], suspect: Suspect, *,
               seed: int = 0) -> tuple[WrongWhen, ...]:
    """The leaves in which the suspect's regret lies, the densest first, until they hold four fifths of it.

    Empty if one half of the workloads has none of its regret or too few decisions. A rule that is wrong everywhere
    yields one leaf without predicates.
    """
    found = population(policy, attributed, suspect)
    places = {number: k for k, number in enumerate(dict.fromkeys(found.workload.tolist()))}
    odd = np.array([places[number] % 2 for number in found.workload.tolist()], dtype=bool)
    fit, held = ~odd, odd
    if fit.sum() < 2 * LEAST or not found.regret[fit].any() or not found.regret[held].any():
        return ()
    least = max(LEAST, int(fit.sum()) // 50)
    tree = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=least, min_impurity_decrease=0.0, random_state=seed,
                                 ccp_alpha=0.01 * float(found.regret[fit].var()))
    tree.fit(found.values[fit], found.regret[fit])
    reached = tree.apply(found.values)
    boxes = _boxes(tree, found.names)
    density = {leaf: float(found.regret[fit & (reached == leaf)].mean()) for leaf in boxes}
    total, captured, chosen = float(found.regret[fit].sum()), 0.0, list[WrongWhen]()
    for leaf in sorted(boxes, key=lambda leaf: (-density[leaf], leaf)):
        inside = fit & (reached == leaf)
        if captured >= CAPTURED * total or density[leaf] <= 0:
            break
        captured += float(found.regret[inside].sum())
        chosen.append(_scored(policy, suspect, boxes[leaf], found, held, held & (reached == leaf)))
    return tuple(chosen)


def _scored(policy: BoundPolicy, suspect: Suspect, box: tuple[Predicate, ...], found: Population,
            held: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_]) -> WrongWhen:
    mean = float(found.regret[inside].mean()) if inside.any() else 0.0
    said = {"missed": "should have fired", "batch_limit": "keeps launches too small"}.get(suspect.kind, "is wrong")
    rule = {"consult": "consulting", "join": "joining"}.get(suspect.site, f"rule {suspect.rule}")
    if suspect.kind == "batch_limit":
        rule = "batch_limit"
    elif suspect.site in ("consult", "join"):
        said = "would have paid" if suspect.kind == "missed" else "does not pay"
    where = " and ".join(_text(box, name) for name in dict.fromkeys(item.feature for item in box))
    cost = duration(round(mean), policy.profile.tick)
    sentence = f"{rule} {said} {'when ' + where if where else 'whenever the question comes up'} ({cost} a decision)"
    return WrongWhen(box, sentence, float(found.regret[inside].sum() / found.regret[held].sum()),
                     wilson(int(inside.sum()), int(held.sum())),
                     wilson(int((found.regret[inside] > 0).sum()), int(inside.sum())), mean)


def _text(box: Sequence[Predicate], name: str) -> str:
    """Bounds of one integer variable."""
    bounds = {item.relation: int(item.bound) for item in box if item.feature == name}
    low, high = bounds.get(">"), bounds.get("<=")
    if low is not None and high is not None:
        return f"{name} = {high}" if low + 1 == high else f"{low + 1} <= {name} <= {high}"
    return f"{name} <= {high}" if low is None else f"{name} >= {low + 1}"


def _boxes(tree: DecisionTreeRegressor, names: Sequence[str]) -> dict[int, tuple[Predicate, ...]]:
    """Per leaf its bounds, the tightest of each variable and side; whole numbers, since observations are."""
    inner = tree.tree_
    found: dict[int, tuple[Predicate, ...]] = {}

    def walk(node: int, bounds: dict[tuple[str, str], float]) -> None:
        if inner.children_left[node] < 0:
            found[node] = tuple(Predicate(name, "<=" if relation == "<=" else ">", bound)
                                for (name, relation), bound in bounds.items())
            return
        name, bound = names[inner.feature[node]], float(np.floor(inner.threshold[node]))
        walk(int(inner.children_left[node]), {**bounds, (name, "<="): bound})
        walk(int(inner.children_right[node]), {**bounds, (name, ">"): bound})

    walk(0, {})
    return found
