"""What merging redundant variables saves, by network: sizes, and seconds to compile and to solve, without and with it.

    python examples/benchmarks/flow_merging.py [--repeat 5] [--out FILE]

Networks: both sides of demand pinning (five nodes; a grid of 3 x 3 with all paths between opposite corners), both sides
of packing (4 and 6 balls), and a random LP in 40 variables as a network. HiGHS 1e-9, one thread's worth of CPU time;
medians over `--repeat` runs in one process. Also seconds for 3000 inputs of the fast evaluations (heuristic, nearest
optimum, certain edges) beside as many solves of the network, extrapolated from 30.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from drex_runtime.records.files import write_atomic
from xplain.flow.demand_pinning import Link, Topology, certain_edges, five_node, optimal, pinned
from xplain.flow.first_fit import certain_edges as certain_packing
from xplain.flow.first_fit import first_fit, optimal_packing
from xplain.flow.network import Network
from xplain.flow.packing_network import PACKING
from xplain.flow.packing_network import Case as Packing
from xplain.flow.pinning_network import PINNING, fixed
from xplain.flow.solve import solve
from xplain.flow.topology import Pair
from xplain.flow.translate import Program, as_network

PAPER: dict[Pair, int] = {("1", "3"): 50, ("1", "2"): 100, ("2", "3"): 100}


def grid(side: int) -> Topology:
    """Links right and down between the nodes of a square, capacity 10."""
    places = [(row, column) for row in range(side) for column in range(side)]
    return Topology(tuple(Link(f"{r}.{c}", f"{r + dr}.{c + dc}", 10) for r, c in places for dr, dc in ((0, 1), (1, 0))
                          if r + dr < side and c + dc < side))


def random_lp(size: int) -> Program:
    """A feasible bounded LP with whole coefficients in 0..9 and as many rows as variables."""
    rng = np.random.default_rng(0)
    matrix = tuple(tuple(int(each) for each in row) for row in rng.integers(0, 10, (size, size)))
    return Program("max", tuple(int(each) for each in rng.integers(1, 10, size)), matrix, ("<=",) * size,
                   tuple(int(each) for each in rng.integers(50, 100, size)), (0,) * size, (20,) * size)


def networks() -> list[tuple[str, Network]]:
    """Names and networks of the table."""
    square: dict[Pair, int] = {("0.0", "2.2"): 12, ("0.0", "1.2"): 4, ("1.0", "2.2"): 9, ("0.1", "2.1"): 4}
    rng = np.random.default_rng(1)
    balls = {n: tuple((int(size),) for size in rng.integers(20, 70, n)) for n in (4, 6)}
    return [("demand pinning, five nodes", PINNING.concretise(fixed(five_node(), PAPER, 50))),
            ("optimal flow, five nodes", PINNING.concretise(fixed(five_node(), PAPER))),
            ("demand pinning, grid 3x3", PINNING.concretise(fixed(grid(3), square, 5))),
            ("optimal flow, grid 3x3", PINNING.concretise(fixed(grid(3), square))),
            *((f"first fit, {n} balls", PACKING.concretise(Packing(each, (100,), n, tuple(range(n)))))
              for n, each in balls.items()),
            *((f"optimal packing, {n} balls", PACKING.concretise(Packing(each, (100,), n)))
              for n, each in balls.items()),
            ("random LP, 40 x 40", as_network(random_lp(40)))]


def row(name: str, network: Network, repeat: int) -> str:
    """One line of the table."""
    cells = list[str]()
    optima = list[float | None]()
    for merged in (False, True):
        runs = [solve(network, merged=merged) for _ in range(repeat)]
        counts = runs[0].compiled.after
        cells += [f"{counts.variables} ({counts.binaries})", str(counts.rows),
                  f"{1000 * median(each.compiled.seconds for each in runs):.1f}",
                  f"{1000 * median(each.seconds for each in runs):.1f}"]
        optima.append(runs[0].objective)
    if optima[0] is None or optima[1] is None or abs(optima[0] - optima[1]) > 1e-6:
        raise SystemExit(f"{name}: {optima} differ")
    return f"| {name} | {optima[1]:g} | {' | '.join(cells)} |"


def timed(work: Callable[[], object], times: int) -> float:
    """CPU seconds for 3000 of what is done `times` times."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) * 3000 / times


def fast_table() -> list[str]:
    """3000 inputs, fast and through the networks."""
    rng = np.random.default_rng(2)

    def pinning() -> None:
        demands = {pair: int(rng.integers(0, 101)) for pair in PAPER}
        heuristic = pinned(five_node(), demands, 50)
        if heuristic is not None:
            certain_edges(five_node(), demands, heuristic.flows, optimal(five_node(), demands, heuristic.flows))

    def pinning_network() -> None:
        demands = {pair: int(rng.integers(0, 101)) for pair in PAPER}
        for threshold in (50, None):
            solve(PINNING.concretise(fixed(five_node(), demands, threshold)))

    def balls() -> tuple[tuple[int], ...]:
        return tuple((int(size),) for size in rng.integers(1, 101, 4))

    def packing() -> None:
        sizes = balls()
        heuristic = first_fit(sizes, (100,))
        optimal_packing(sizes, (100,), heuristic)
        certain_packing(sizes, (100,), heuristic)

    def packing_network() -> None:
        sizes = balls()
        for order in ((0, 1, 2, 3), None):
            solve(PACKING.concretise(Packing(sizes, (100,), 4, order)))

    return ["| 3000 inputs | fast evaluation, nearest and certain, s | both sides through the network, s |",
            "|---|---|---|",
            f"| demand pinning, five nodes | {timed(pinning, 3000):.1f} | {timed(pinning_network, 30):.0f} |",
            f"| first fit, 4 balls | {timed(packing, 3000):.1f} | {timed(packing_network, 30):.0f} |"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    solve(PINNING.concretise(fixed(five_node(), PAPER)))  # imports and first use are not in the times
    lines = ["| network | optimum | variables (binary) | rows | compile ms | solve ms | merged: variables (binary) |"
             " rows | compile ms | solve ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for name, network in networks():
        lines.append(row(name, network, given.repeat))
        print(lines[-1], flush=True)
    lines += ["", *fast_table()]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.out is not None:
        write_atomic(given.out, text)


if __name__ == "__main__":
    main()
