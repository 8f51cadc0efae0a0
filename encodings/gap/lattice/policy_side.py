"""A policy's runs over all depths as one network: executed state by state, branching where a ramp reveals depths.

A node is the root or a state in which the policy is about to consult a ramp; its arcs are the sets of rows that may
turn out ready there. Everything between is the reference simulator's, run as it stands. On integer inputs exactly one
path is open, so the flow is the run, and its cost H(x).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import Request, Workload
from drex_runtime.scheduling.state import Kind, Objective, Phase, State, initial_state
from drex_runtime.simulator.mechanics import Machine
from drex_runtime.simulator.reference import apply, choose
from xplain.encodings.gap.lattice.memory import Memory
from xplain.encodings.gap.lattice.network import END, Arc, Bit, Builder, Gate, Network
from xplain.encodings.gap.lattice.reduction import reduced
from xplain.encodings.gap.lattice.spans import cost_of
from xplain.encodings.gap.watch import TimeUpError, Watch
from xplain.encodings.steps.inputs import InputSpace
from xplain.encodings.steps.rules import EXCLUDED

MAX_NODES = 200_000


def policy_network(policy: BoundPolicy, space: InputSpace, objective: Objective, watch: Watch) -> Network:
    """The network of `policy`, equivalent states merged.

    Raises PolicyError if it idles for ever (naming the depths) or forces exits, LimitError past MAX_NODES states,
    TimeUpError past the watch's time.
    """
    for rules in policy.rules.ramp:
        for rule in rules:
            if rule.action in EXCLUDED:
                raise PolicyError(f"policy {policy.policy.name}: {rule.action} is for baselines; encodings take "
                                  "policies of SPLIT and CONTINUE only")
    return reduced(_Execution(policy, space, objective, watch).network())


@dataclass
class _Execution:
    policy: BoundPolicy
    space: InputSpace
    objective: Objective
    watch: Watch
    builder: Builder = field(default_factory=Builder)
    states: list[State] = field(default_factory=list)
    came_by: list[tuple[int, tuple[Gate, ...]]] = field(default_factory=list)  # one way to each node
    _workloads: dict[tuple[tuple[int, int, int], ...], Workload] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = Memory.of(self.policy, self.space)
        self.deepest = self.space.num_segments

    def network(self) -> Network:
        """Every state that some depths lead to."""
        start = initial_state(len(self.space.requests), self.deepest)
        machine = self._machine(start, ())
        root, _ = self.builder.node("root")
        self.states.append(start)
        self.came_by.append((END, ()))
        self._finish(root, start, machine, ())
        done = 1
        while done < len(self.states):
            if len(self.states) > MAX_NODES:
                raise LimitError(f"lattice: policy {self.policy.policy.name} has more than {MAX_NODES} states over "
                                 "this space; take fewer requests or tokens, or another method")
            if self.watch.is_over:
                raise TimeUpError(f"the time was up after {done} states of policy {self.policy.policy.name}")
            self._expand(done)
            done += 1
        return Network(len(self.states), root, tuple(self.builder.arcs))

    def _expand(self, node: int) -> None:
        """All sets of rows that may be ready at the ramp about to be consulted."""
        state = self.states[node]
        running = [row for row, place in enumerate(state.place) if place == -1]
        unknown = [row for row in running if not state.latched[row]]
        for ready in product((True, False), repeat=len(unknown)):
            gates = tuple(Gate(self._bit(state, row), on) for row, on in zip(unknown, ready, strict=True))
            machine = self._machine(state, gates)
            machine.consult()
            if len(machine.ready_rows()) == len(machine.batch):
                machine.split()  # nobody would stay: not a choice for a policy
            self._finish(node, state, machine, gates)

    def _finish(self, node: int, state: State, machine: Machine, gates: tuple[Gate, ...]) -> None:
        """Run on to the next ramp that reveals something, and add the arc."""
        try:
            runs_on = self._advance(machine)
        except PolicyError as error:
            raise PolicyError(f"policy {self.policy.policy.name} fails on a workload of the space "
                              f"({self._path(node, gates)}): {error}") from error
        cost, head = cost_of(self.objective, machine, state), END
        if runs_on:
            kept = self.memory.kept(machine.snapshot())
            head, new = self.builder.node(kept)
            if new:
                self.states.append(kept)
                self.came_by.append((node, gates))
        self.builder.arcs.append(Arc(node, head, cost, gates))

    def _advance(self, machine: Machine) -> bool:
        """Let the policy decide up to a consult whose outcome is open; False if the run ends before."""
        while machine.phase != Phase.END:
            action, rule, _ = choose(self.policy, machine)
            if action.kind == Kind.CONSULT and any(not machine.latched[row] for row in machine.batch):
                return True
            apply(machine, action, rule)
            if action.kind == Kind.CONSULT:  # all of them are ready
                machine.split()
        return False

    def _bit(self, state: State, row: int) -> Bit:
        return row, state.emitted[row], state.segment

    def _machine(self, state: State, gates: tuple[Gate, ...]) -> Machine:
        """A machine in `state`, whose ready rows are those of the open gates; no other depth is looked at."""
        known = tuple(sorted(gate.bit for gate in gates if gate.on))
        if known not in self._workloads:
            requests = [Request(i if each.id is None else each.id, each.arrivals[0], each.prompt_tokens,
                                tuple(next((s for row, at, s in known if (row, at) == (i, t)), self.deepest)
                                      for t in range(each.lengths[0])), each.due, each.ttft, each.tpot)
                        for i, each in enumerate(self.space.requests)]
            self._workloads[known] = Workload.of(self.deepest, requests, tick=self.space.tick)
        return Machine(self._workloads[known], self.policy.profile, self.policy.config, order=self.policy.policy.order,
                       start=state)

    def _path(self, node: int, gates: tuple[Gate, ...]) -> str:
        """The bits on one way to `node`, then `gates`."""
        found = [gates]
        while node != END:
            node, before = self.came_by[node]
            found.append(before)
        named = [f"token {gate.bit[1] + 1} of request {gate.bit[0]} "
                 f"{'ready' if gate.on else 'not ready'} at ramp {gate.bit[2]}"
                 for each in reversed(found) for gate in each]
        return ", ".join(named) or "whatever its depths"
