"""The demo model: a small early-exit Llama trained on text that ships with Python."""

from pathlib import Path

DEMO_FOLDER = Path(__file__).resolve().parent.parent / "data" / "demo"
"""Folder of the shipped demo model."""
