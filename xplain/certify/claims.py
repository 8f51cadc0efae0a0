"""From a certificate's model to the claim it makes, and from bound policies to tables: nothing else is trusted."""

from __future__ import annotations

from drex_runtime.errors import InputError
from drex_runtime.policies import BoundPolicy, bind
from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.yaml_form import parse_policy, policy_to_yaml
from drex_runtime.records.numbers import number_text
from xplain.certify.record import Model, NamedRegion, PolicyTable
from xplain.encodings.certificates.claim import Claim
from xplain.encodings.certificates.features import Condition, Shape, Side, Where
from xplain.encodings.certificates.workloads import shape_of
from xplain.encodings.gap import GapProblem
from xplain.problems.exact_features import certifiable, feature_named
from xplain.records import Predicate


def claim_of(model: Model, source: str) -> Claim:
    """The claim. Errors name `source` where the model does not make sense."""
    problem = problem_of(model, source)
    return Claim(problem, model.relation, model.value, where_of(model, source),
                 parse_fraction(model.relative, f"{source}: relative"), model.grid)


def problem_of(model: Model, source: str) -> GapProblem:
    """Policies bound to the stored profile and resources, over the stored space."""
    if model.grid < 1:
        raise InputError(source, "grid", model.grid, "1 tick or more")
    benchmark = None if model.benchmark is None else _bound(model.benchmark, model, f"{source}: benchmark")
    return GapProblem(model.space, _bound(model.policy, model, f"{source}: policy"), benchmark, model.objective)


def where_of(model: Model, source: str) -> Where:
    """The part of the space the model is about."""
    fits = {"everywhere": not model.regions, "inside": bool(model.regions), "outside": True}
    if not fits[model.where]:
        raise InputError(source, "regions", len(model.regions), "regions exactly where a part of the space is meant")
    return where(model.where, model.regions, shape_of(model.space, model.grid), source)


def where(side: Side, regions: tuple[NamedRegion, ...], shape: Shape, source: str) -> Where:
    """`side` of the union of regions. InputError for a region over a feature that cannot be certified."""
    def condition(region: NamedRegion, predicate: Predicate) -> Condition:
        feature = feature_named(predicate.feature, shape)
        if feature is None:
            raise InputError(f"{source}: region {region.name}", "feature", predicate.feature, certifiable(shape))
        return Condition(feature, predicate.relation, predicate.bound)

    return Where(side, tuple(tuple(condition(region, predicate) for predicate in region.predicates)
                             for region in regions))


def table_of(policy: BoundPolicy) -> PolicyTable:
    """Complete: reading it back and binding it gives the same rules and values."""
    return PolicyTable(policy.policy.name, policy_to_yaml(policy.policy),
                       {name: number_text(value) for name, value in policy.values.items()})


def _bound(table: PolicyTable, model: Model, source: str) -> BoundPolicy:
    return bind(parse_policy(table.table, source), model.profile, model.config, dict(table.parameters))

