"""A feature means the same on numbers and as terms, and regions compare it as they always did."""

from __future__ import annotations

from random import Random

import numpy as np

from drex_runtime.records import Request, Workload
from tests.scale import scaled
from xplain.encodings.certificates.counted import Counted
from xplain.encodings.certificates.encoded import Encoded
from xplain.encodings.certificates.features import Condition, Shape, Where
from xplain.encodings.steps import Inputs, InputSpace, RequestSpace
from xplain.encodings.terms import Terms, evaluate
from xplain.problems.exact_features import FEATURES, feature_named, members
from xplain.records import Predicate


def drawn(random: Random, shape: Shape, times: tuple[int, ...]) -> Workload:
    arrivals = sorted(random.choice(times) for _ in range(shape.requests))
    return Workload.of(shape.num_segments, [
        Request(i, time, 0, tuple(random.randint(1, shape.num_segments) for _ in range(shape.tokens)))
        for i, time in enumerate(arrivals)])


def test_numbers_and_terms_agree() -> None:
    for seed in range(scaled(12, 200)):
        random = Random(f"feature {seed}")
        shape = Shape(random.randint(1, 4), random.randint(1, 4), random.randint(1, 3), random.randint(1, 7))
        times = tuple(sorted(random.sample(range(30), random.randint(1, 3))))
        terms = Terms()
        inputs = Inputs(terms, InputSpace(shape.num_segments, (RequestSpace((shape.tokens,), times),) * shape.requests))
        names = [*FEATURES, *members(shape)]
        features = [feature for feature in (feature_named(name, shape) for name in names) if feature is not None]
        assert len(features) == len(names)
        encoded = [feature.numerator(Encoded(terms, inputs, shape)) for feature in features]
        for _ in range(5):
            workload = drawn(random, shape, times)
            counted = Counted(np.array([[request.depths for request in workload.requests]]),
                              np.array([[request.arrival for request in workload.requests]], np.int64), shape)
            found = evaluate(encoded, inputs.assignment(workload))
            for feature, term in zip(features, encoded, strict=True):
                assert found[term.index] == int(feature.numerator(counted)[0]), (seed, feature.name)
                value = float(counted.values(feature)[0])
                for bound in (value, np.nextafter(value, 9), np.nextafter(value, -9), round(value, 2), 0.3, 1 / 3):
                    for relation in ("<=", ">"):
                        holds = Predicate(feature.name, relation, float(bound)).holds({feature.name: value})
                        where = Where("inside", ((Condition(feature, relation, float(bound)),),))
                        assert bool(where.truth(counted)[0]) == holds
                        as_terms = where.truth(Encoded(terms, inputs, shape))
                        assert evaluate([as_terms], inputs.assignment(workload))[as_terms.index] == holds


def test_a_part_is_the_union_of_its_boxes_or_the_rest() -> None:
    shape = Shape(1, 2, 2, 1)
    counted = Counted(np.array([[[1, 1]], [[1, 2]], [[2, 2]]]), np.zeros((3, 1), np.int64), shape)
    share = FEATURES["exit_share"]
    boxes = ((Condition(share, ">", 0.5),), (Condition(share, "<=", 0.0),))
    assert Where("inside", boxes).truth(counted).tolist() == [True, False, True]
    assert Where("outside", boxes).truth(counted).tolist() == [False, True, False]
    assert Where("outside").truth(counted).all() and Where().truth(counted).all()
