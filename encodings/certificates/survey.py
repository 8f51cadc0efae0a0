"""A survey: every workload of a space with the costs of policy and benchmark, found as far as they are asked for."""

from __future__ import annotations

import time

import numpy as np

from drex_runtime.errors import LimitError
from drex_runtime.records import Workload
from drex_runtime.simulator.arrays import CompiledPolicy
from drex_runtime.simulator.many import objectives
from xplain.encodings.certificates.claim import Claim
from xplain.encodings.certificates.counted import Counted, Ints, Mask
from xplain.encodings.certificates.features import Where
from xplain.encodings.certificates.optima import Optima
from xplain.encodings.certificates.workloads import Block, blocks, shape_of
from xplain.encodings.gap import GapProblem

BLOCK = 1024
UNKNOWN = -1  # a cost that nobody has asked for yet
MAX_PRODUCT = 2**62


class OutOfTimeError(LimitError):
    """The time allowed was not enough; the message says how far it got."""


class Survey:
    """Rows are workloads. `heuristic`: cost of the policy; `benchmark`: the benchmark's, or UNKNOWN; `lower`: a lower
    bound on it, or UNKNOWN. Methods raise OutOfTimeError at their deadline (monotonic clock); LimitError if there are
    too many workloads."""

    def __init__(self, problem: GapProblem, deadline: float) -> None:
        self.problem, self.optima = problem, Optima(problem) if problem.benchmark is None else None
        self._blocks: list[Block] = list(blocks(problem.space, BLOCK))
        self._starts = np.cumsum([0, *(len(block.depths) for block in self._blocks)])
        self.heuristic = self._costs(CompiledPolicy.of(problem.policy), deadline)
        if problem.benchmark is None:
            self.benchmark, self.lower = np.full((2, len(self)), UNKNOWN, np.int64)
        else:
            self.benchmark = self._costs(CompiledPolicy.of(problem.benchmark), deadline)
            self.lower = self.benchmark

    def __len__(self) -> int:
        return int(self._starts[-1])

    def workload(self, row: int) -> Workload:
        """The workload of a row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._blocks[number].workload(row - int(self._starts[number]))

    def counted(self, grid: int) -> Counted:
        """All rows, for features."""
        shape = shape_of(self.problem.space, grid)
        depths = np.concatenate([block.depths for block in self._blocks])
        arrivals = [np.tile([request.arrival for request in block.template.requests], (len(block.depths), 1))
                    for block in self._blocks]
        return Counted(depths.reshape(len(self), shape.requests, shape.tokens), np.concatenate(arrivals), shape)

    def inside(self, where: Where, grid: int) -> Mask:
        """Which rows belong to a part of the space."""
        return where.truth(self.counted(grid))

    def resolve(self, rows: Ints, deadline: float) -> None:
        """Find `benchmark` of these rows."""
        if self.optima is None:
            return
        for done, row in enumerate(rows.tolist()):
            if self.benchmark[row] != UNKNOWN:
                continue
            found = self.optima.optimum(self.workload(row), deadline)
            if found is None:
                raise OutOfTimeError(f"out of time: optima of {done:,} of {len(rows):,} workloads found")
            self.benchmark[row] = found

    def relax(self, deadline: float) -> None:
        """Find `lower` of all rows, with one search for all workloads that differ by who is who only."""
        if self.optima is None:
            return
        first, orbit = np.unique(self._orbits(), return_index=True, return_inverse=True)[1:]
        costs = np.full(len(first), UNKNOWN, np.int64)
        for number, row in enumerate(first.tolist()):
            found = self.optima.bound(self.workload(row), deadline)
            if found is None:
                raise OutOfTimeError(f"out of time: optima of {number:,} of {len(first):,} classes of workloads found")
            costs[number] = found
        self.lower[:] = costs[orbit]
        if self.optima.exact:
            self.benchmark[:] = self.lower

    def measured(self, claim: Claim, benchmark: Ints) -> Ints:
        """`claim.measured` of all rows with these costs of the benchmark."""
        den, num = claim.relative.denominator, claim.relative.numerator
        if (den + num) * int(max(self.heuristic.max(), benchmark.max())) >= MAX_PRODUCT:
            raise LimitError(f"costs times {den + num} pass 62 bits; use a coarser threshold or quantum")
        return np.asarray(den * (self.heuristic - benchmark) - num * benchmark)

    def worst(self, claim: Claim, deadline: float, *, stop_beyond: bool = False) -> int | None:
        """The row of `claim.where` that comes closest to violating the claim, or violates it most (None: no rows).

        `stop_beyond`: rows that cannot violate the claim need not be compared: the answer is any violating row, or if
        there is none the closest of those looked at.
        """
        rows = np.flatnonzero(self.inside(claim.where, claim.grid))
        if not len(rows):
            return None
        if self.optima is None or claim.relation == "at-least":
            self.resolve(rows, deadline)
            measured = self.measured(claim, self.benchmark)[rows]
            return int(rows[measured.argmax() if claim.relation == "at-most" else measured.argmin()])
        self.relax(deadline)
        most = self.measured(claim, self.lower)
        best: tuple[int, int] | None = None
        for row in rows[np.argsort(-most[rows], kind="stable")]:
            beyond = most[row] <= claim.value if stop_beyond else False
            if best is not None and (most[row] <= best[0] or beyond):
                break  # nobody after this one measures more
            self.resolve(np.array([row]), deadline)
            found = claim.measured(int(self.heuristic[row]), int(self.benchmark[row]))
            if best is None or found > best[0]:
                best = found, int(row)
        return None if best is None else best[1]

    def reaching(self, claim: Claim, deadline: float) -> Mask:
        """Which rows measure more than the claim's value, wherever they are."""
        self.relax(deadline)
        possible = np.flatnonzero(self.measured(claim, self.lower) > claim.value)
        self.resolve(possible, deadline)
        found = np.zeros(len(self), np.bool_)
        found[possible] = self.measured(claim, self.benchmark)[possible] > claim.value
        return found

    # ---- inside -------------------------------------------------------------------------------------------
    def _costs(self, policy: CompiledPolicy, deadline: float) -> Ints:
        found = []
        for number, block in enumerate(self._blocks):
            if time.monotonic() >= deadline:
                raise OutOfTimeError(f"out of time: {self._starts[number]:,} of {len(self):,} workloads simulated")
            found.append(objectives(policy, block.template, block.depths, self.problem.objective))
        return np.concatenate(found)

    def _orbits(self) -> Ints:
        """By row a number that workloads share which differ by the names of requests of equal arrival only."""
        shape = shape_of(self.problem.space, 1)
        powers = shape.num_segments ** np.arange(shape.tokens)
        weights = shape.num_segments ** (shape.tokens * np.arange(shape.requests))
        times: dict[tuple[int, ...], int] = {}
        found = []
        for block in self._blocks:
            arrivals = tuple(request.arrival for request in block.template.requests)
            codes = (block.depths.reshape(-1, shape.requests, shape.tokens).astype(np.int64) - 1) @ powers
            for time_ in set(arrivals):
                same = np.flatnonzero(np.array(arrivals) == time_)
                codes[:, same] = np.sort(codes[:, same], axis=1)
            number = times.setdefault(arrivals, len(times))
            found.append(codes @ weights + number * int(weights[-1]) * shape.num_segments**shape.tokens)
        return np.concatenate(found)
