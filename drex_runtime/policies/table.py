"""Policy: a table of named rules over a small observation. Written once, used by everyone.

The engine and the simulators execute the table, encodings translate it, reports print it. Conditions are
sympy expressions (see `expressions`) over observation variables (see `observation`) and named parameters.
Source: scheduling model, sections Decisions, Observations, Policies to ship.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.expressions import Condition, Scalar, check_grammar
from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES

PoolOrder = Literal["fcfs", "edf"]
Scope = Literal["policy", "ramp", "pool"]
RampAction = Literal["SPLIT", "CONTINUE", "EXIT_ALL", "RELEASE"]
RAMP_ACTIONS: tuple[RampAction, ...] = ("SPLIT", "CONTINUE", "EXIT_ALL", "RELEASE")

# Names a parameter default may use besides the parameters listed before it. Those predicted at batch_limit rows (ticks
# of the dearest launch; per ramp what the functions of `art` by these names say) only after batch_limit.
DEFAULT_NAMES = ("batch_max", "n_max")
PASS_TIME = "pass_time"
PREDICTED_AT_RAMP = ("art", "break_even", "toll", "pass_rows", "doubt", "empty_share", "park_time")
# In a rule over a buffer: predicted ticks from the buffer to the LM head at min(buffered, batch_limit) rows.
DEEP_TIME = "deep_time"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONCRETE = re.compile(rf"({'|'.join(POOL_NAMES)})_([1-9][0-9]?)")
_RUN = re.compile(r"RUN\(([1-9][0-9]?|s)\)")


def pool_of_name(name: str) -> int | None:
    """The pool of a concrete variable such as `age_2`, or None."""
    found = _CONCRETE.fullmatch(name)
    return int(found[2]) if found else None


@dataclass(frozen=True)
class Parameter:
    """A named exact rational. `default` may refer to batch_max, n_max and earlier parameters (integer parameters
    round a derived default down).

    `scope`: one value for the policy, one per ramp (`name_1..name_K`), or one per buffer (`name_2..`).
    """

    name: str
    default: Scalar
    low: Fraction | None = None
    high: Fraction | None = None
    integer: bool = False
    unit: str = ""
    meaning: str = ""
    scope: Scope = "policy"


@dataclass(frozen=True)
class LaunchRule:
    """A rule of next_launch. `action`: PREFILL, IDLE, RUN(1), RUN(2).. or RUN(s), a family over the buffers.

    Consecutive RUN(s) rules form a block: for s from the deepest buffer to 2, the first that holds at s.
    """

    name: str
    action: str
    when: Condition = sympy.true

    @property
    def is_family(self) -> bool:
        """Whether the rule stands for one rule per buffer."""
        return self.action == "RUN(s)"

    @property
    def pool(self) -> int | None:
        """The pool of a concrete RUN, else None."""
        found = _RUN.fullmatch(self.action)
        return int(found[1]) if found and found[1] != "s" else None


@dataclass(frozen=True)
class RampRule:
    """A rule of at_ramp; the first that holds wins, the last must hold always."""

    name: str
    action: RampAction
    when: Condition = sympy.true


@dataclass(frozen=True)
class Policy:
    """A scheduler: parameters, next_launch, consult, at_ramp, join, and the order inside pools.

    Raises PolicyError on construction if a name is unknown or an expression leaves the grammar.
    """

    name: str
    parameters: tuple[Parameter, ...]
    launch: tuple[LaunchRule, ...]
    consult: Condition
    ramp: tuple[RampRule, ...]
    join: Condition
    order: PoolOrder = "fcfs"
    description: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise PolicyError(f"policy name {self.name[:80]!r}: expected letters, digits, '-', '_', '.'")
        if self.order not in ("fcfs", "edf"):
            raise PolicyError(f"policy {self.name}: order {self.order!r}: expected fcfs or edf")
        self._check_parameters()
        self._check_launch()
        self._check_ramp()

    def _check_parameters(self) -> None:
        known: dict[Scope, list[str]] = {"policy": [], "ramp": [], "pool": []}
        taken = {*GLOBAL_NAMES, *POOL_NAMES, *RAMP_NAMES, *DEFAULT_NAMES, PASS_TIME, *PREDICTED_AT_RAMP,
                 DEEP_TIME}
        for parameter in self.parameters:
            what = f"policy {self.name}, parameter {parameter.name[:80]}"
            if not _NAME.fullmatch(parameter.name) or parameter.name in taken or pool_of_name(parameter.name):
                raise PolicyError(f"{what}: expected a new lower-case name that is not a variable")
            taken.add(parameter.name)
            if parameter.scope not in known:
                raise PolicyError(f"{what}: scope {parameter.scope!r}: expected policy, ramp or pool")
            predicted = (PASS_TIME, *(PREDICTED_AT_RAMP if parameter.scope == "ramp" else ()))
            extra = predicted if "batch_limit" in known["policy"] else ()
            check_grammar(parameter.default, (), [*DEFAULT_NAMES, *extra, *known["policy"]], f"{what}, default")
            if parameter.low is not None and parameter.high is not None and parameter.low > parameter.high:
                raise PolicyError(f"{what}: range {parameter.low} to {parameter.high} is empty")
            known[parameter.scope].append(parameter.name)
        limit = self.parameter("batch_limit")
        if limit is None or not limit.integer or limit.scope != "policy" or limit.low is None or limit.low < 1:
            raise PolicyError(f"policy {self.name}: needs an integer parameter batch_limit of at least 1")

    def _check_launch(self) -> None:
        names: set[str] = set()
        if not self.launch:
            raise PolicyError(f"policy {self.name}: next_launch has no rule")
        for rule in self.launch:
            what = f"policy {self.name}, rule {rule.name}"
            if not _NAME.fullmatch(rule.name) or rule.name in names:
                raise PolicyError(f"{what}: expected a new lower-case rule name")
            names.add(rule.name)
            if rule.action not in ("PREFILL", "IDLE") and not _RUN.fullmatch(rule.action):
                raise PolicyError(f"{what}: action {rule.action[:80]!r}: expected PREFILL, IDLE, RUN(1).. or RUN(s)")
            concrete = [item.name for item in rule.when.free_symbols if pool_of_name(item.name)]
            scopes = ("policy", "pool") if rule.is_family else ("policy",)
            family = (*POOL_NAMES, DEEP_TIME) if rule.is_family else ()
            check_grammar(rule.when, (*GLOBAL_NAMES, *concrete, *family), self._named(*scopes), what)

    def _check_ramp(self) -> None:
        named = self._named("policy", "ramp")
        check_grammar(self.consult, RAMP_NAMES, named, f"policy {self.name}, consult")
        check_grammar(self.join, RAMP_NAMES, named, f"policy {self.name}, join")
        names: set[str] = set()
        for rule in self.ramp:
            what = f"policy {self.name}, ramp rule {rule.name}"
            if not _NAME.fullmatch(rule.name) or rule.name in names:
                raise PolicyError(f"{what}: expected a new lower-case rule name")
            names.add(rule.name)
            if rule.action not in RAMP_ACTIONS:
                raise PolicyError(f"{what}: action {rule.action[:80]!r}: expected one of {', '.join(RAMP_ACTIONS)}")
            check_grammar(rule.when, RAMP_NAMES, named, what)
        if not self.ramp or self.ramp[-1].when != sympy.true:
            raise PolicyError(f"policy {self.name}: the last ramp rule must hold always (when: always)")

    def _named(self, *scopes: Scope) -> list[str]:
        return [parameter.name for parameter in self.parameters if parameter.scope in scopes]

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name, or None."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    @property
    def keeps_exits_voluntary(self) -> bool:
        """False for baselines whose ramp rules force rows out or hold finished ones (EXIT_ALL, RELEASE)."""
        return all(rule.action in ("SPLIT", "CONTINUE") for rule in self.ramp)
