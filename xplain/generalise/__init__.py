"""Generalising (Type 3): what makes a heuristic lose, across configurations of its problem."""

from xplain.generalise.family import InstanceFamily
from xplain.generalise.generalise import generalise, generalised
from xplain.generalise.record import Claim, FeatureNote, Generalisation, load_generalisation, save_generalisation

__all__ = ["Claim", "FeatureNote", "Generalisation", "InstanceFamily", "generalise", "generalised",
           "load_generalisation", "save_generalisation"]
