"""A claim as one SMT query: is there a workload in the part, and a schedule if the benchmark is the optimum, such that
the claim fails? Unsatisfiable: proved. The claim's negation has existential variables only, so no quantifier is needed:
a free schedule costs at least the optimum, and some free schedule attains it.

For claims "at-least" against the optimum that is not so (every schedule would have to be asked about): refused.
"""

from __future__ import annotations

import time
from math import gcd

import z3

from drex_runtime.errors import LimitError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records.quantise import costs, unit
from xplain.encodings.certificates.bounded_check import check
from xplain.encodings.certificates.claim import Claim, Verdict
from xplain.encodings.certificates.encoded import Encoded
from xplain.encodings.steps import Inputs, Steps, unroll
from xplain.encodings.steps.chooser import FreeChooser, PolicyChooser
from xplain.encodings.steps.machine import horizon
from xplain.encodings.terms import Terms
from xplain.encodings.terms.node import MAX_STEP
from xplain.encodings.terms.smt import SmtModel

MAX_STEPS = 24  # of one machine; longer ones were never decided within minutes


def ask(claim: Claim, seconds: float) -> Verdict:
    """Proved, refuted with a replayed witness, or unknown with the reason. LimitError for what cannot be asked."""
    began, problem, terms = time.monotonic(), claim.problem, Terms()
    if claim.relation == "at-least" and problem.benchmark is None:
        raise LimitError("a lower bound on the gap to the optimum needs quantifiers; claim it against a policy")
    inputs = Inputs(terms, problem.space)
    steps = horizon(inputs)
    reason = _too_large(claim, steps)
    if reason:
        return Verdict("unknown", "smt", "z3", z3.get_version_string(), 0.0, None, reason)
    terms.require(claim.where.truth(Encoded(terms, inputs, claim.shape)))
    model = _violated(claim, terms, inputs)
    found = check(model, max(0.001, seconds - (time.monotonic() - began)))
    took = time.monotonic() - began
    if found.answer == "unsat":
        return Verdict("proved", "smt", "z3", z3.get_version_string(), took, None, f"{steps} steps")
    if found.answer == "unknown":
        return Verdict("unknown", "smt", "z3", z3.get_version_string(), took, None,
                       f"{steps} steps; no answer after {took:.1f} s of {seconds:g} s: {found.reason}")
    # A policy that idles for ever has no cost; the query asks for that too, and the replay raises it.
    witness = problem.replay(inputs.workload(found.values))
    if not claim.violated(witness.heuristic, witness.benchmark):
        raise RuntimeError(f"z3's witness does not violate the claim: {witness.heuristic} against {witness.benchmark}; "
                           "encoding and simulator disagree")
    return Verdict("refuted", "smt", "z3", z3.get_version_string(), time.monotonic() - began, witness, f"{steps} steps")


def _too_large(claim: Claim, steps: int) -> str:
    """Why the query is not written down; empty: it is."""
    if steps > MAX_STEPS:
        return f"{steps} steps to unroll: the SMT method takes up to {MAX_STEPS}"
    problem = claim.problem
    rows = min(problem.config.batch_max, len(problem.space.requests))
    times = [time for each in problem.space.requests for time in each.arrivals]
    shared = max(1, gcd(unit(problem.profile), *times))
    reach = (max(times) + steps * rows * sum(costs(problem.profile))) // shared
    if reach > MAX_STEP:  # terms take wider comparisons case by case, of which there can be exponentially many
        return (f"clocks up to {reach:,} times what all costs share: the SMT method takes up to {MAX_STEP:,}; "
                "use a coarser quantum")
    return ""


def _violated(claim: Claim, terms: Terms, inputs: Inputs) -> SmtModel:
    """The query: the claim fails at the inputs, or a policy has no cost there."""
    problem, den, num = claim.problem, claim.relative.denominator, claim.relative.numerator
    heuristic = _run("H", terms, inputs, problem.policy)
    failed = heuristic.stuck | ~heuristic.finished
    if problem.benchmark is None:
        benchmark = unroll("OPT", terms, inputs, problem.profile, problem.config,
                           FreeChooser("OPT", terms, inputs, problem.config))
        terms.require(benchmark.finished)
    else:
        benchmark = _run("B", terms, inputs, problem.benchmark)
        failed = failed | benchmark.stuck | ~benchmark.finished
    model = SmtModel(terms)
    # The last comparison is z3's own: multiples of two sums are wider than what terms compare in one piece.
    ours, theirs = (model.expression(side.cost(problem.objective)) for side in (heuristic, benchmark))
    measured = den * ours - (den + num) * theirs
    fails = measured > claim.value if claim.relation == "at-most" else measured < claim.value
    model.solver.add(z3.Or(model.expression(failed), fails))
    return model


def _run(name: str, terms: Terms, inputs: Inputs, policy: BoundPolicy) -> Steps:
    return unroll(name, terms, inputs, policy.profile, policy.config, PolicyChooser(name, terms, inputs, policy))
