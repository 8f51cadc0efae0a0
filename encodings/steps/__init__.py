"""The scheduling model as terms: time-stepped, for any policy of the grammar and for free schedules."""

from xplain.encodings.steps.inputs import Inputs, InputSpace, RequestSpace
from xplain.encodings.steps.machine import Steps, unroll

__all__ = ["InputSpace", "Inputs", "RequestSpace", "Steps", "unroll"]
