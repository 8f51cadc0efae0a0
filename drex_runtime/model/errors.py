"""What can be wrong with a model folder."""

from __future__ import annotations


class ModelError(ValueError):
    """A model file, its configuration or a request to the model is not usable; one line says where and why."""
