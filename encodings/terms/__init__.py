"""Integer and truth-valued terms with proved bounds, written once and handed to evaluation, z3 or a MILP."""

from xplain.encodings.terms.evaluate import evaluate
from xplain.encodings.terms.node import Bool, Int, Node, TermError, Terms

__all__ = ["Bool", "Int", "Node", "TermError", "Terms", "evaluate"]
