"""The grammar of policy conditions, as sympy expressions.

`+ - *`, comparisons, and/or/not, min/max over observation variables and named parameters; numbers are
integers, decimals or a quotient of two numbers, kept exact. At most two observation variables meet in a
product. Text is parsed with Python's own parser and translated node by node: nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any, TypeAlias

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue
from sympy.printing.pycode import PythonCodePrinter

from drex_runtime.errors import PolicyError

Condition: TypeAlias = Any  # a sympy Boolean; sympy ships no types
Scalar: TypeAlias = Any  # a sympy Expr
MAX_TEXT = 4000
MAX_NUMBER = 2**53
MAX_NESTING = 40
MAX_CHOICES = 16  # sympy compares all arguments of min and max in pairs, slowly: 50 take seconds, 400 minutes

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Condition]] = {
    ast.Lt: sympy.Lt, ast.LtE: sympy.Le, ast.Gt: sympy.Gt, ast.GtE: sympy.Ge, ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}
_CONSTANTS = {"always": sympy.true, "never": sympy.false, "true": sympy.true, "false": sympy.false}


def symbol(name: str) -> sympy.Symbol:
    """The one symbol of a name. Real, not integer: sympy must not fold conditions by sign or parity."""
    return sympy.Symbol(name, real=True)


def rational(value: Fraction | int) -> sympy.Rational:
    """An exact sympy number."""
    exact = Fraction(value)
    return sympy.Rational(exact.numerator, exact.denominator)


def parse_fraction(text: object, what: str) -> Fraction:
    """An exact number from an int, a decimal string or "p/q". PolicyError on anything else."""
    if isinstance(text, bool) or not isinstance(text, int | str | Fraction) or len(str(text)[:65]) > 64:
        raise PolicyError(f"{what}: expected an integer or a decimal in quotes, found {str(text)[:80]!r}")
    try:
        value = Fraction(text) if "e" not in str(text).lower() else None
    except (ValueError, ZeroDivisionError):
        value = None
    if value is None or abs(value.numerator) > MAX_NUMBER or value.denominator > MAX_NUMBER:
        raise PolicyError(f"{what}: {str(text)[:80]!r} is not an exact number up to 2^53")
    return value


def parse_condition(text: object, what: str) -> Condition:
    """A condition from text. `what` names it in errors."""
    if isinstance(text, bool):
        return sympy.true if text else sympy.false
    node = _parse(text, what)
    found = _Translator(str(text), what).boolean(node, 0)
    return found


def parse_scalar(text: object, what: str) -> Scalar:
    """A number-valued expression from text (parameter defaults)."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    return _Translator(str(text), what).scalar(_parse(text, what), 0)


def _parse(text: object, what: str) -> ast.expr:
    if not isinstance(text, str) or not text.strip():
        raise PolicyError(f"{what}: expected an expression in text form, found {str(text)[:80]!r}")
    if len(text) > MAX_TEXT:
        raise PolicyError(f"{what}: the expression has {len(text)} characters, at most {MAX_TEXT} are accepted")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python merely warns of is rejected below, by name
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PolicyError(f"{what}: {text[:80]!r} is not an expression") from error
    chosen = sum(len(node.args) for node in ast.walk(tree) if isinstance(node, ast.Call))
    if chosen > MAX_CHOICES:
        raise PolicyError(f"{what}: min/max over {chosen} arguments in {text[:80]!r}, at most {MAX_CHOICES} "
                          "are accepted")
    return tree


class _Translator:
    """Translates allowed syntax nodes; everything else is rejected by name."""

    def __init__(self, text: str, what: str) -> None:
        self.text, self.what = text.strip(), what

    def fail(self, node: ast.AST, found: str) -> PolicyError:
        return PolicyError(f"{self.what}: {found} in {self.text[:80]!r}; the grammar has + - *, comparisons, "
                           "and/or/not, min/max")

    def boolean(self, node: ast.expr, depth: int) -> Condition:
        if depth > MAX_NESTING:
            raise self.fail(node, f"nesting deeper than {MAX_NESTING}")
        match node:
            case ast.BoolOp(op=operator, values=values):
                parts = [self.boolean(value, depth + 1) for value in values]
                return sympy.And(*parts) if isinstance(operator, ast.And) else sympy.Or(*parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return sympy.Not(self.boolean(operand, depth + 1))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [self.scalar(side, depth + 1) for side in (left, *comparators)]
                parts = []
                for comparison, one, other in zip(ops, sides, sides[1:], strict=False):
                    if type(comparison) not in _COMPARISONS:
                        raise self.fail(node, f"comparison {type(comparison).__name__}")
                    parts.append(_COMPARISONS[type(comparison)](one, other))
                return sympy.And(*parts) if len(parts) > 1 else parts[0]
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.Constant(value=bool() as value):
                return sympy.true if value else sympy.false
        raise self.fail(node, f"{type(node).__name__} where a condition is needed")

    def scalar(self, node: ast.expr, depth: int) -> Scalar:
        if depth > MAX_NESTING:
            raise self.fail(node, f"nesting deeper than {MAX_NESTING}")
        match node:
            case ast.Constant(value=bool()):
                raise self.fail(node, "a truth value where a number is needed")
            case ast.Constant(value=int() | float()):
                return rational(parse_fraction(ast.get_source_segment(self.text, node), self.what))
            case ast.Name(id=name) if name not in _CONSTANTS:
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.scalar(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.scalar(operand, depth + 1)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return self.scalar(left, depth + 1) + self.scalar(right, depth + 1)
            case ast.BinOp(op=ast.Sub(), left=left, right=right):
                return self.scalar(left, depth + 1) - self.scalar(right, depth + 1)
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                return self.scalar(left, depth + 1) * self.scalar(right, depth + 1)
            case ast.BinOp(op=ast.Div(), left=ast.Constant() as left, right=ast.Constant() as right):
                below = self.scalar(right, depth + 1)
                if below == 0:
                    raise self.fail(node, "a division by zero")
                return self.scalar(left, depth + 1) / below
            case ast.Call(func=ast.Name(id="min" | "max" as name), args=args, keywords=[]) if args:
                parts = [self.scalar(arg, depth + 1) for arg in args]
                return sympy.Min(*parts) if name == "min" else sympy.Max(*parts)
        raise self.fail(node, f"{type(node).__name__} where a number is needed")


def check_grammar(expression: sympy.Basic, variables: Iterable[str], parameters: Iterable[str], what: str) -> None:
    """Accept `expression` only if it lies in the grammar over these names. PolicyError names the offender."""
    observed, named = set(variables), set(parameters)

    def degree(node: sympy.Basic) -> int:
        if isinstance(node, sympy.Symbol):
            if node.name not in observed and node.name not in named:
                near = ", ".join(sorted(observed | named))
                raise PolicyError(f"{what}: unknown name {node.name!r}; known here: {near}")
            if node != symbol(node.name):
                raise PolicyError(f"{what}: symbol {node.name!r} must be made by policies.expressions.symbol()")
            return int(node.name in observed)
        if isinstance(node, sympy.Rational | BooleanTrue | BooleanFalse):
            return 0
        parts = [degree(arg) for arg in node.args]
        if isinstance(node, sympy.Mul):
            total = sum(parts)
        elif isinstance(node, sympy.Pow):
            base, power = node.args
            if not (isinstance(power, sympy.Integer) and int(power) >= 1):
                raise PolicyError(f"{what}: power {node} is not in the grammar (+ - *, comparisons, and/or/not, "
                                  "min/max)")
            total = degree(base) * int(power)
        elif isinstance(node, sympy.Add | sympy.Min | sympy.Max | sympy.core.relational.Relational | sympy.And
                        | sympy.Or | sympy.Not):
            total = max(parts)
        else:
            raise PolicyError(f"{what}: {type(node).__name__} is not in the grammar (+ - *, comparisons, "
                              "and/or/not, min/max)")
        if total > 2:
            raise PolicyError(f"{what}: {node} multiplies more than two observation variables")
        return total

    degree(expression)


class _ExactPrinter(PythonCodePrinter):  # type: ignore[misc]
    """Prints rationals as Fraction objects: the default prints p/q, a float division."""

    def _print_Rational(self, expr: sympy.Rational) -> str:  # noqa: N802 - sympy dispatches on class names
        return f"Fraction({expr.p}, {expr.q})"


def lambdified(expression: sympy.Basic, names: Iterable[str]) -> Callable[..., Any]:
    """`expression` as a Python function of the named variables, exact on ints (and Fractions)."""
    modules = [{"Fraction": Fraction, "min": min, "max": max}]
    printer = _ExactPrinter({"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True})
    function: Callable[..., Any] = sympy.lambdify([symbol(name) for name in names], expression, modules=modules,
                                                  printer=printer)
    return function


def false_atoms(condition: Condition, values: Mapping[str, Fraction | int]) -> tuple[sympy.Basic, ...]:
    """The comparisons that make a false `condition` false under `values`, in a fixed order.

    Of a conjunction the false parts; of a disjunction, where all parts are false, all of them.
    """
    def holds(node: sympy.Basic) -> bool:
        names = sorted(item.name for item in node.free_symbols)
        return bool(node.subs({symbol(name): rational(values[name]) for name in names}))

    def walk(node: sympy.Basic) -> list[sympy.Basic]:
        if holds(node):
            return []
        if isinstance(node, sympy.And | sympy.Or):
            ordered = sorted(node.args, key=sympy.default_sort_key)
            return reduce(lambda found, arg: found + walk(arg), ordered, [])
        return [node]

    return tuple(walk(condition))
