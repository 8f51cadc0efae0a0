"""Bilevel programs with linear followers as single-level MILPs: KKT and quantised primal-dual rewrites, replayed."""

from xplain.encodings.bilevel.embedded import Embedded
from xplain.encodings.bilevel.errors import NoBoundError, NoOptimumError, ReplayError
from xplain.encodings.bilevel.follower import Follower, follower
from xplain.encodings.bilevel.from_pyomo import follower_from_block
from xplain.encodings.bilevel.levels import Choice, Levels, choice, quantise
from xplain.encodings.bilevel.program import Program, bilevel_program, gap_program
from xplain.encodings.bilevel.replay import Optimum, replay
from xplain.encodings.bilevel.rewrite import Method, embed_direct, is_aligned, rewrite
from xplain.encodings.bilevel.solve import BilevelAnswer, solve

__all__ = [
    "BilevelAnswer",
    "Choice",
    "Embedded",
    "Follower",
    "Levels",
    "Method",
    "NoBoundError",
    "NoOptimumError",
    "Optimum",
    "Program",
    "ReplayError",
    "bilevel_program",
    "choice",
    "embed_direct",
    "follower",
    "follower_from_block",
    "gap_program",
    "is_aligned",
    "quantise",
    "replay",
    "rewrite",
    "solve",
]
