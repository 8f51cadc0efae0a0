"""AnalysisRequest: everything that decides what an analysis does; stored in the run folder to rerun stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import InputError, PolicyError, RecordError
from drex_runtime.policies.bind import ONLINE
from drex_runtime.policies.load import load_policy
from drex_runtime.records import CostProfile, Workload
from drex_runtime.records.files import read_record, write_record
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact import Limits
from xplain.explain.regret import NO_REGRET
from xplain.problems.best_params import BEST_PARAMS
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender, OperatingProblem
from xplain.problems.trace_source import TraceSource
from xplain.records import STRICT, ProofMethod, ProofSolver
from xplain.space import Space

SCHEMA = "xplain-request/1"
TRACE_FILE = "trace.json"  # in the run folder, if the workloads come from a trace
# When one exact search gives up; the nodes take about as long on one core.
EXACT_SECONDS, EXACT_NODES = 2.0, 10_000


@dataclass(frozen=True)
class AnalysisRequest:
    """What to analyse and with which means. `benchmarks` are policies, or best-params (operating scale); the exact
    scale is always compared with the clairvoyant, by total completion where the objective is misses (the exact search
    has no proof for them). `clairvoyant`: more inputs of the operating scale get an interval of the gap to it.
    `budget` in seconds is shared out over the stages (see `pipeline`); with
    `evaluations` instead, the search is bounded by counts and the result is reproducible from the seed alone.
    `method`, `solver`: how the worst case of the exact scale is proved (see `worst_case`); a solver belongs to `milp`,
    which `auto` then is.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    subject: str
    space: Space
    settings: dict[str, str] = field(default_factory=dict)
    benchmarks: tuple[str, ...] = ("no-exit", "flush-now")
    objective: Objective = "total-completion"
    threshold: float = 0.05
    budget: float = 60.0
    evaluations: int | None = None
    requests: int = 5
    tokens: int = 4
    replicates: int = 2
    held_out: int = 400
    seed: int = 0
    jobs: int = 2
    command: str = ""
    method: ProofMethod = "auto"
    solver: ProofSolver = "auto"
    trace: str = ""  # what was said of the trace in TRACE_FILE; empty: workloads are generated
    clairvoyant: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (("requests", self.requests, 1, 16), ("tokens", self.tokens, 1, 16),
                                       ("budget", self.budget, 1, 10**6), ("threshold", self.threshold, 0, 10),
                                       ("held_out", self.held_out, 20, 10**6), ("jobs", self.jobs, 1, 256),
                                       ("replicates", self.replicates, 1, 1000)):
            if not low <= value <= high:
                raise RecordError("analysis", name, value, f"a value from {low} to {high}")
        if self.evaluations is not None and not 10 <= self.evaluations <= 10**7:
            raise RecordError("analysis", "evaluations", self.evaluations, "10 or more")
        if self.objective not in get_args(Objective):
            raise RecordError("analysis", "objective", self.objective, ", ".join(get_args(Objective)))
        for name, chosen, known in (("method", self.method, get_args(ProofMethod)),
                                    ("solver", self.solver, get_args(ProofSolver))):
            if chosen not in known:
                raise RecordError("analysis", name, chosen, f"one of {', '.join(known)}")
        if self.solver != "auto" and self.method not in ("auto", "milp"):
            raise RecordError("analysis", "solver", self.solver, f"no solver, method {self.method} uses none of them")
        if self.seed < 0:
            raise RecordError("analysis", "seed", self.seed, "0 or more")
        if not self.benchmarks:
            raise RecordError("analysis", "benchmarks", self.benchmarks, "at least one policy")


def contender(subject: str, settings: dict[str, str] | None = None) -> Contender:
    """A policy by name, YAML file or file.py:Name; PolicyError if regret analysis is not defined for it."""
    policy = load_policy(subject)
    if not policy.keeps_exits_voluntary:
        raise PolicyError(f"policy {policy.name}: {NO_REGRET}")
    if ONLINE in (settings or {}).values():
        raise PolicyError(f"policy {policy.name}: the analyzer needs frozen parameters (states, regrets and tuning "
                          "know no estimator); leave art_factor out for its value by the profile, or set a number")
    return Contender(policy.name, policy, settings or {})


def operating_problem(request: AnalysisRequest, profile: CostProfile,
                      trace: Workload | None = None) -> OperatingProblem:
    """The operating scale of a request; `trace` as in the run folder's TRACE_FILE."""
    if bool(request.trace) != (trace is not None):
        raise InputError("analysis", "trace", request.trace or "none", "the trace's workload beside it, or neither")
    benchmarks = tuple(contender(name) for name in request.benchmarks if name != BEST_PARAMS)
    names = [*(item.name for item in benchmarks), *(BEST_PARAMS for name in request.benchmarks if name == BEST_PARAMS)]
    if len(set(names)) != len(names):
        raise InputError("--benchmark", "benchmarks", ", ".join(names), "policies of different names")
    if request.objective == "misses" and not has_dues(request.space, trace):
        raise InputError("--objective", "misses", "requests without due dates", "a dimension slo above 0 in --space, "
                         "or a trace whose requests all have due dates")
    return OperatingProblem(contender(request.subject, request.settings), benchmarks, profile, request.space,
                            request.objective, request.threshold, request.seed, request.replicates,
                            None if trace is None else TraceSource(trace), best_params=BEST_PARAMS in names)


def has_dues(space: Space, trace: Workload | None) -> bool:
    """Whether every request of the operating scale has a due date."""
    if "slo" in space.names:
        return space.dimension("slo").low > 0
    return trace is not None and all(item.due is not None for item in trace.requests)


def exact_problem(request: AnalysisRequest, profile: CostProfile) -> ExactProblem:
    """The exact scale of a request. Searches are cut short by time, or by size where results must repeat."""
    limits = Limits(seconds=EXACT_SECONDS) if request.evaluations is None else Limits(nodes=EXACT_NODES)
    objective: Objective = "total-completion" if request.objective == "misses" else request.objective
    return ExactProblem(contender(request.subject, request.settings), profile, objective, request.threshold,
                        requests=request.requests, tokens=request.tokens, limits=limits)


_ADAPTER = TypeAdapter(AnalysisRequest)


def load_request(path: Path) -> AnalysisRequest:
    """Read a stored request."""
    return read_record(path, SCHEMA, _ADAPTER)


def save_request(path: Path, request: AnalysisRequest) -> None:
    """Store a request."""
    write_record(path, SCHEMA, request, _ADAPTER)
