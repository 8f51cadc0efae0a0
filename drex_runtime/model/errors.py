"""What can be wrong with a model folder."""

from __future__ import annotations

from drex_runtime.errors import DrexError


class ModelError(DrexError, ValueError):
    """A model's files, its configuration or a request to it are unusable; one line says where and why."""
