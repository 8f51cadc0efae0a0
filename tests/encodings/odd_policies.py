"""Three policies in YAML that nobody shipped, each odd in its own way."""

from __future__ import annotations

from drex_runtime.policies.table import Policy
from drex_runtime.policies.yaml_form import parse_policy

WAVES = """
schema: drex-policy/1
name: waves
description: Lets rows pile up by the parity of nothing in particular, splits only when more leave than wait.
order: fcfs
parameters:
  batch_limit: {default: batch_max, low: 1, integer: true, unit: rows, meaning: most rows of a launch}
  tide: {default: "3/2", low: 0, high: 9, unit: rows, meaning: buffered rows per waiting request}
launch:
- {rule: ebb, action: RUN(s), when: "2*buffered > tide*waiting + ready and age >= 2"}
- {rule: flood, action: RUN(1), when: "max(ready, 1) >= min(in_flight, 2) or not (free_places > 0)"}
- {rule: prefill, action: PREFILL}
- {rule: rest, action: RUN(s)}
- {rule: decode, action: RUN(1)}
consult: "passes_unseen >= 1 or recent_exits <= recent_rows - 1"
ramp:
- {rule: part, action: SPLIT, when: "exits*2 > batch and buffered_next <= exits"}
- {rule: on, action: CONTINUE}
join: "buffered_next != 2"
"""

MISER = """
schema: drex-policy/1
name: miser
description: One row at a time out of the buffer, whole batches into it; nobody exits while anybody waits long.
order: edf
parameters:
  batch_limit: {default: "2", low: 1, integer: true, unit: rows, meaning: most rows of a launch}
  patience: {default: 40, low: 0, high: 100000, unit: ticks, meaning: longest wait in a buffer}
launch:
- {rule: decode_first, action: RUN(1), when: "ready >= 1 and oldest_2 < patience and decodes_since_prefill < 3"}
- {rule: pay, action: RUN(s), when: "oldest >= patience or slack <= 25"}
- {rule: prefill, action: PREFILL, when: "waiting*free_places >= 1"}
- {rule: decode, action: RUN(1)}
- {rule: drain, action: RUN(s)}
consult: "batch_slack > 3"
ramp:
- {rule: all_in, action: SPLIT, when: "exits == 0 and batch >= 2"}
- {rule: out, action: SPLIT, when: "exits >= 1 and recent_consults >= 1"}
- {rule: on, action: CONTINUE}
join: never
"""

CONTRARY = """
schema: drex-policy/1
name: contrary
description: Consults every second batch size, splits when hardly anybody leaves, joins when the batch is large.
order: fcfs
parameters:
  batch_limit: {default: batch_max, low: 1, integer: true, unit: rows, meaning: most rows of a launch}
  quirk: {default: "0.75", low: 0, high: 3, unit: rows, meaning: share of the batch, scope: ramp}
launch:
- {rule: shallow, action: RUN(1), when: "ready > buffered_2"}
- {rule: deep, action: RUN(s), when: "buffered*buffered >= n_max - batch_max or age > 3"}
- {rule: prefill, action: PREFILL}
- {rule: decode, action: RUN(1)}
- {rule: drain, action: RUN(s)}
consult: "batch == 1 or batch == 3 or segment >= 2 or recent_emptied < 1"
ramp:
- {rule: few, action: SPLIT, when: "exits < quirk*batch"}
- {rule: many, action: CONTINUE}
join: "batch + buffered_next >= 2"
"""

ODD: dict[str, Policy] = {name: parse_policy(text, name) for name, text in
                          (("waves", WAVES), ("miser", MISER), ("contrary", CONTRARY))}
