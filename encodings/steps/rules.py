"""A policy's conditions as terms: the same integer programs that the compiled simulator interprets, run on terms."""

from __future__ import annotations

from collections.abc import Sequence

from drex_runtime.errors import PolicyError
from drex_runtime.policies import program
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.program import compile_policy
from xplain.encodings.terms import Bool, Int, Terms

EXCLUDED = ("EXIT_ALL", "RELEASE")


class Rules:
    """A bound policy asked with views of terms.

    Raises PolicyError for a policy that forces exits or stamps early: there is no optimum to hold it against.
    """

    def __init__(self, terms: Terms, policy: BoundPolicy) -> None:
        self.terms, self.policy, self.program = terms, policy, compile_policy(policy)
        for rules in policy.rules.ramp:
            for rule in rules:
                if rule.action in EXCLUDED:
                    raise PolicyError(f"policy {policy.policy.name}: {rule.action} is for baselines; encodings take "
                                      "policies of SPLIT and CONTINUE only")

    def launch(self, view: Sequence[Int]) -> list[tuple[str, int, Bool]]:
        """(label, target, condition) of every launch rule in order."""
        return [(rule.label, rule.target, self._condition(tuple(span), view))
                for rule, span in zip(self.policy.rules.launch, self.program.launch_span.tolist(), strict=True)]

    def consult(self, ramp: int, view: Sequence[Int]) -> Bool:
        """Whether ramp r is consulted."""
        return self._condition(tuple(self.program.consult_span[ramp - 1].tolist()), view)

    def at_ramp(self, ramp: int, view: Sequence[Int]) -> list[tuple[str, str, Bool]]:
        """(name, action, condition) of every rule of ramp r in order."""
        spans = self.program.ramp_span[ramp - 1].tolist()
        return [(rule.name, rule.action, self._condition(tuple(span), view))
                for rule, span in zip(self.policy.rules.ramp[ramp - 1], spans, strict=True)]

    def join(self, ramp: int, view: Sequence[Int]) -> Bool:
        """Whether the rows waiting behind ramp r join."""
        return self._condition(tuple(self.program.join_span[ramp - 1].tolist()), view)

    def _condition(self, span: tuple[int, int], view: Sequence[Int]) -> Bool:
        (found,) = self._run(self.program.code[span[0]:span[1]].tolist(), view)
        return found if isinstance(found, Bool) else found > 0

    def _run(self, code: Sequence[Sequence[int]], view: Sequence[Int]) -> list[Int | Bool]:
        terms, stack = self.terms, list[Int | Bool]()
        for operation, argument in code:
            if operation == program.VAR:
                stack.append(view[argument])
            elif operation == program.CONST:
                stack.append(terms.constant(argument))
            elif operation == program.NOT:
                stack.append(~self._truth(stack.pop()))
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(self._binary(operation, left, right))
        return stack

    def _binary(self, operation: int, left: Int | Bool, right: Int | Bool) -> Int | Bool:
        terms = self.terms
        if operation in (program.AND, program.OR):
            pair = (self._truth(left), self._truth(right))
            return terms.all_of(pair) if operation == program.AND else terms.any_of(pair)
        one, other = terms.number(left), terms.number(right)
        if operation == program.ADD:
            return one + other
        if operation == program.MUL:
            return terms.product(one, other)
        if operation == program.MIN:
            return terms.minimum(one, other)
        if operation == program.MAX:
            return terms.maximum(one, other)
        if operation == program.LT:
            return one < other
        if operation == program.LE:
            return one <= other
        return one.equals(other) if operation == program.EQ else ~one.equals(other)

    def _truth(self, part: Int | Bool) -> Bool:
        return part if isinstance(part, Bool) else part > 0
