"""XPlain: when a scheduling policy underperforms, by how much, why, and what to change.

Importing this package does not import torch; only commands that run the engine do.
"""

from drex_runtime import __version__

__all__ = ["__version__"]
