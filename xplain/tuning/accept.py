"""Whether tuned settings are recommended, and in which words: by their held-out effect alone."""

from __future__ import annotations

from collections.abc import Sequence

from xplain.records import Comparison
from xplain.tuning.scoring import FLOOR

WORSE = 0.01  # of the relative gap: by how much a slice may lose before settings are refused


def verdict(comparisons: Sequence[Comparison], changed: bool, floor: float = FLOOR) -> tuple[bool, str]:
    """Recommended where the mean over the whole space falls, no slice loses more than WORSE, and no workload falls
    below the floor, or none further than under the current settings. `comparisons`: the whole space first."""
    if not changed:
        return False, "no setting scored better than the current one"
    whole = comparisons[0]
    if whole.after >= whole.before:
        return False, f"held-out mean gap does not fall: {whole.before:+.1%} to {whole.after:+.1%}"
    if whole.change_high is not None and whole.change_high >= 0:
        return False, (f"held-out mean gap {whole.before:+.1%} to {whole.after:+.1%}, which may be chance: 95 % "
                       f"interval of the change {whole.change_low:+.2%} to {whole.change_high:+.2%}")
    worse = [item.slice for item in comparisons if item.after > item.before + WORSE]
    if worse:
        return False, f"worse than before in {', '.join(worse)} by more than {WORSE:.0%}"
    least = min(item.minimum_ratio_after for item in comparisons)
    before = min((item.minimum_ratio_before for item in comparisons if item.minimum_ratio_before is not None),
                 default=0.0)
    if least < min(floor, before):
        return False, (f"throughput falls to {least:.3f} of no-exit's on a held-out workload (before: {before:.3f}; "
                       f"floor: {floor:g})")
    text = (f"held-out mean gap {whole.before:+.1%} to {whole.after:+.1%}, worst {whole.worst_before:+.1%} to "
            f"{whole.worst_after:+.1%}; throughput at least {least:.3f} of no-exit's on every held-out workload")
    if least < floor:
        text += f", below the floor of {floor:g}, but nowhere further than before ({before:.3f})"
    return True, text
