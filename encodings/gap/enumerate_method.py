"""Method `enumerate`: every workload of the space, the policy run on each, optima only where they can still matter.

Each workload has an upper bound on its gap: H(x), from the compiled simulator, less a lower bound of the optimum.
Candidates stand in a heap by that bound; the first one gets a better lower bound, by larger parts of the workload
(`enumeration.optima`), in the end by exact search. When the best gap known is no less than the first bound in the
heap, it is the largest. All arithmetic is in integers. Workloads that are the same to the clairvoyant (it does not mind
who has which depths, a policy with a cap does) share an optimum: only the one that costs the policy most stays.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from drex_runtime.errors import DrexError, LimitError, PolicyError
from drex_runtime.records import Workload
from drex_runtime.simulator import simulate
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload
from drex_runtime.simulator.batch import objectives
from drex_runtime.simulator.memory import Int
from xplain.encodings.gap.answer import GapAnswer, Stopped
from xplain.encodings.gap.enumeration.optima import Item, Optima
from xplain.encodings.gap.enumeration.orbits import Block, Orbits, obstacle_to_symmetry
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress, Watch

BLOCK = 2**14  # workloads between two looks at the clock
MERGED_AT_ONCE = 32  # blocks
SOLVERS = ("auto", "enumeration")


def maximize(problem: GapProblem, solver: str = "auto", seconds: float | None = None,
             on_progress: OnProgress | None = None) -> GapAnswer:
    """The largest gap over the problem's space, proved unless `seconds` run out.

    Raises PolicyError if a policy idles for ever on a workload (which is named), LimitError if the space or a run is
    too large, RecordError if the exact search does not have the objective.
    """
    if solver not in SOLVERS:
        raise LimitError(f"solver = {solver}: enumeration needs none, expected {' or '.join(SOLVERS)}")
    watch = Watch(seconds, on_progress)
    obstacle = obstacle_to_symmetry(problem)
    search = _Search(problem, Orbits(problem.space, obstacle is None), watch)
    stopped = search.run()
    listed = "workloads up to exchanging requests" if obstacle is None else f"workloads one by one, since {obstacle}"
    detail = f"{search.seen} {listed}; {search.optima.solved} exact searches, of whole workloads and parts"
    if stopped == "time-limit":
        detail += (f"; time limit of {seconds} s reached with {len(search.heap)} workloads open" if search.complete else
                   f"; time limit of {seconds} s reached before all workloads were seen: no bound")
    witness = None
    if search.best is not None:
        witness = problem.replay(search.best)
        if witness.gap != search.lower:
            raise RuntimeError(f"enumeration found a gap of {search.lower}, the replay {witness.gap}: "
                               f"{described(search.best)}")
    return GapAnswer("enumerate", "enumeration", stopped, witness, search.upper,
                     None if search.upper is None else "exact", watch.elapsed, detail, tuple(watch.reports))


def described(workload: Workload) -> str:
    """Arrivals and depths in one line."""
    return ", ".join(f"request {each.id} at {each.arrival}"
                     f"{f' prompt {each.prompt_tokens}' if each.prompt_tokens else ''} depths "
                     f"{'-'.join(map(str, each.depths))}" for each in workload.requests)


@dataclass(frozen=True)
class Dearest:
    """Workloads and what they cost the policy."""

    block: Block
    costs: Int


@dataclass
class _Search:
    problem: GapProblem
    orbits: Orbits
    watch: Watch
    heap: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # -bound, -size tried, block, row, H
    blocks: list[Block] = field(default_factory=list)
    seen: int = 0
    lower: int | None = None
    best: Workload | None = None
    complete: bool = False

    def __post_init__(self) -> None:
        self.optima = Optima(self.problem, self.watch)
        self.sizes = self.optima.sizes(len(self.problem.space.requests))
        self._policy = CompiledPolicy.of(self.problem.policy)
        other = self.problem.benchmark
        self._other = None if other is None else CompiledPolicy.of(other)
        self._alone: dict[tuple[int, int, int], int] = {}

    @property
    def upper(self) -> int | None:
        """No gap is larger. None: unknown."""
        if not self.complete:
            return None
        bounds = [bound for bound in (self.lower, -self.heap[0][0] if self.heap else None) if bound is not None]
        return max(bounds, default=None)

    def run(self) -> Stopped:
        """List, then settle; why it stopped."""
        for _, blocks in groupby(self.orbits.blocks(BLOCK), lambda block: block.arrivals):
            found: list[Dearest] = []
            for block in blocks:
                if self.watch.is_over:
                    return "time-limit"
                found += self._run_policies(block)
                if len(found) >= MERGED_AT_ONCE:
                    found = [self._merged(found)]
            if found:
                self._push(self._merged(found))
                if not self._settle(once=True):  # an incumbent lets the next candidates be cut
                    return "time-limit"
        self.complete = True
        if not self._settle(once=False):
            return "time-limit"
        return "proved" if self.lower is not None else "infeasible"

    # ---- listing ------------------------------------------------------------------------------------------
    def _run_policies(self, block: Block) -> list[Dearest]:
        """Run the policy on a block. Nothing if the benchmark is a policy too: then the gaps are known at once."""
        self.seen += len(block.choices)
        template = CompiledWorkload.of(self.orbits.template(block.arrivals))
        costs = self._costs(self._policy, template, block)
        if self._other is not None:
            gaps = costs - self._costs(self._other, template, block)
            at = int(gaps.argmax())
            if self.lower is None or gaps[at] > self.lower:
                self._improve(int(gaps[at]), self.orbits.workload(block.arrivals, block.choices[at].tolist()))
            return []
        return [Dearest(block, costs)]

    def _merged(self, parts: list[Dearest]) -> Dearest:
        """Of workloads that are the same to the clairvoyant, the one with the largest cost."""
        arrivals = parts[0].block.arrivals
        choices = np.concatenate([each.block.choices for each in parts])
        costs = np.concatenate([each.costs for each in parts])
        if len(arrivals) > self.problem.config.max_num_seqs:  # who waits for a place depends on ids
            return Dearest(Block(arrivals, choices), costs)
        same = choices.copy()
        for group in self.orbits.alike(arrivals):
            same[:, group] = np.sort(same[:, group], axis=1)
        order = np.lexsort((-costs, *same.T))
        same = same[order]
        first = order[np.concatenate([[True], (same[1:] != same[:-1]).any(axis=1)])]
        return Dearest(Block(arrivals, choices[first]), costs[first])

    def _push(self, dearest: Dearest) -> None:
        """Put what may beat the incumbent on the heap."""
        block, costs = dearest.block, dearest.costs
        bounds, tried = costs - self._first_bound(block), -self.sizes[0]
        kept = np.arange(len(bounds)) if self.lower is None else np.flatnonzero(bounds > self.lower)
        index = len(self.blocks)
        self.blocks.append(Block(block.arrivals, block.choices[kept]))
        entries = zip((-bounds[kept]).tolist(), costs[kept].tolist(), strict=True)
        self.heap += [(bound, tried, index, row, cost) for row, (bound, cost) in enumerate(entries)]
        heapq.heapify(self.heap)

    def _costs(self, policy: CompiledPolicy, template: CompiledWorkload, block: Block) -> Int:
        values, failed = objectives(policy, template, self.orbits.strings, block.choices, self.problem.objective)
        if failed is not None:
            workload = self.orbits.workload(block.arrivals, block.choices[failed].tolist())
            self._explain(policy, workload)
        return values

    def _explain(self, policy: CompiledPolicy, workload: Workload) -> None:
        """Raise what the reference simulator says of a run that failed, naming the workload."""
        name = policy.bound.policy.name
        try:
            simulate(policy.bound, workload)
        except DrexError as error:
            kind = PolicyError if isinstance(error, PolicyError) else LimitError
            raise kind(f"policy {name} fails on a workload of the space ({described(workload)}): {error}") from error
        raise RuntimeError(f"policy {name} fails in the compiled simulator only: {described(workload)}")

    def _first_bound(self, block: Block) -> Int:
        """By parts of one request, where parts may be used at all."""
        if self.sizes[0] != 1:
            return np.zeros(len(block.choices), np.int64)
        alone = np.zeros(block.choices.shape, np.int64)
        for i, strings in enumerate(self.orbits.strings_of):
            table = np.array([self._single(i, block.arrivals[i], string) for string in strings], np.int64)
            alone[:, i] = table[block.choices[:, i] - strings.start]
        return np.asarray(alone.sum(axis=1) if self.problem.objective == "total-completion" else alone.max(axis=1))

    def _single(self, i: int, arrival: int, string: int) -> int:
        key = (self.problem.space.requests[i].prompt_tokens, arrival, string)
        if key not in self._alone:
            item = (arrival, key[0], self.orbits.listed[string])
            self._alone[key] = self.optima.optimum((item,)).lower
        return self._alone[key]

    # ---- settling -----------------------------------------------------------------------------------------
    def _settle(self, once: bool) -> bool:
        """Sharpen the first candidate until none can beat the incumbent; `once`: until one gap is known exactly.

        False if the time was up before that.
        """
        while self.heap and (self.lower is None or -self.heap[0][0] > self.lower):
            if self.watch.is_over:
                return False
            bound, tried, index, row, cost = heapq.heappop(self.heap)
            block = self.blocks[index]
            strings = block.choices[row].tolist()
            items: tuple[Item, ...] = tuple(
                (arrival, space.prompt_tokens, self.orbits.listed[string]) for arrival, space, string
                in zip(block.arrivals, self.problem.space.requests, strings, strict=True))
            size = next((each for each in self.sizes if each > -tried), self.sizes[-1])
            found = self.optima.bound(items, size)
            if found.proved:
                gap = cost - found.lower
                if self.lower is None or gap > self.lower:
                    self._improve(gap, self.orbits.workload(block.arrivals, strings))
                if once:
                    return True
            else:
                sharper = max(bound, found.lower - cost)
                heapq.heappush(self.heap, (sharper, max(-size, 1 - self.sizes[-1]), index, row, cost))
            self.watch.note(self.lower, self.upper)
        if self.complete:
            self.heap.clear()
        self.watch.note(self.lower, self.upper)
        return True

    def _improve(self, gap: int, workload: Workload) -> None:
        self.lower, self.best = gap, workload
        self.watch.note(self.lower, self.upper)
