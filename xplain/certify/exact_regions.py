"""Regions of the exact scale where the run has none: the pipeline's own search for regions, on workloads of the space.

Samples are drawn evenly from the space of the certificate; a second draw judges the regions, as at operating scale.
"""

from __future__ import annotations

import numpy as np

from xplain.certify.boxes import feature_values
from xplain.certify.record import NamedRegion
from xplain.certify.subject import Subject
from xplain.encodings.certificates.survey import Survey
from xplain.records import Origin, Sample
from xplain.regions import find_regions
from xplain.request import exact_problem

DRAWN = 1500  # workloads for the search, and as many to judge what it finds


def exact_regions(survey: Survey, subject: Subject, grid: int, deadline: float) -> tuple[NamedRegion, ...]:
    """Significant regions E1, E2, ...; none is an answer. Raises OutOfTimeError."""
    seed = subject.request.seed
    drawn = np.random.default_rng([seed, 32_452_843]).permutation(len(survey))[:2 * DRAWN]
    survey.resolve(drawn, deadline)
    values = feature_values(survey, grid)

    def sample(row: int, origin: Origin) -> Sample:
        features = dict(zip(values.names, values.table[row].tolist(), strict=True))
        benchmark = int(survey.benchmark[row])
        return Sample(row, "exact", origin, {}, features, int(survey.heuristic[row]), benchmark, benchmark)

    half = len(drawn) // 2
    if half < 2:
        return ()
    search = [sample(row, "random") for row in drawn[:half].tolist()]
    fresh = [sample(row, "held-out") for row in drawn[half:].tolist()]
    problem = exact_problem(subject.request, subject.profile)
    found = find_regions(problem, search, fresh, subject.request.threshold, seed, subject=subject.contender.name,
                         prefix="E")
    return tuple(NamedRegion(region.name, region.predicates) for region in found)
