"""DREX: a serving engine for early-exit language models with dynamic rebatching.

The package root imports nothing heavy, so that data types and the simulator load without torch.
"""

__version__ = "0.1.0"
