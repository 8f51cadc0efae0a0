"""Prometheus metrics: `drex:*`, and the series of vLLM that mean the same under vLLM's names.

Latencies are taken from the engine's own times of arrivals and tokens, on the event loop; counters of the step loop
are read when somebody asks. An observer only counts launches by rule.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from drex_runtime.execution.async_engine import AsyncEngine, TokenDelta
from drex_runtime.execution.observer import Observer
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scheduler import Launch

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0)
LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
PREFIXES = ("drex", "vllm")
FROM_STATISTICS = (("splits", "Launches that were split at a ramp"), ("rows_parked", "Rows that were parked"),
                   ("rows_joined", "Rows that joined a passing batch"), ("launches", "Launches"),
                   ("prefills", "Prefill launches"), ("early_tokens", "Tokens emitted at a ramp"),
                   ("involuntary_exits", "Rows that left before they were ready"),
                   ("involuntary_stays", "Ready rows that had to stay"), ("cells_owned", "KV cells computed"),
                   ("cells_shared", "KV cells of skipped layers that point at the exit layer's"),
                   ("preemptions", "Requests that lost their place for memory"),
                   ("tokens_owed", "Tokens that left with deeper K, V owed (KV fill recompute)"),
                   ("tokens_recomputed", "Tokens that left and were run to full depth later"),
                   ("debt_bound_hits", "Passes begun by requests that owed as many tokens as they may"))


class LaunchCounts(Observer):
    """Launches by rule and first segment (0: prefill)."""

    def __init__(self) -> None:
        self.by_rule: Counts[tuple[str, int]] = Counts()

    def launched(self, launch: Launch, now: int) -> None:
        """Count it."""
        self.by_rule[launch.rule, launch.pool] += 1


class Metrics:
    """All series of one server, in a registry of its own."""

    def __init__(self, engine: AsyncEngine, model_name: str) -> None:
        self.engine, self.labels = engine, (model_name,)
        self.registry = CollectorRegistry()
        self.launches = LaunchCounts()
        engine.llm.engine.observers.append(self.launches)
        engine.on_delta = self.on_delta
        self._last: dict[Sequence, float] = {}
        self._prompt = self._counters("prompt_tokens", "Prompt tokens of requests that got their first token")
        self._generated = self._counters("generation_tokens", "Output tokens")
        self._success = self._counters("request_success", "Finished requests by reason", "finished_reason")
        self._first = self._histograms("time_to_first_token_seconds", "From arrival to the first token", LONG)
        self._between = [*self._histograms("inter_token_latency_seconds", "Between tokens of a request", SHORT),
                         *self._histograms("time_per_output_token_seconds", "Between tokens of a request", SHORT)]
        self._whole = self._histograms("e2e_request_latency_seconds", "From arrival to the last token", LONG)
        self._exits = Counter("drex:exits", "Tokens by the layer whose head emitted them", ("model_name", "exit_layer"),
                              registry=self.registry)
        self.registry.register(_EngineState(self))

    def _counters(self, name: str, text: str, *labels: str) -> list[Counter]:
        return [Counter(f"{prefix}:{name}", text, ("model_name", *labels), registry=self.registry)
                for prefix in PREFIXES]

    def _histograms(self, name: str, text: str, buckets: tuple[float, ...]) -> list[Histogram]:
        return [Histogram(f"{prefix}:{name}", text, ("model_name",), registry=self.registry, buckets=buckets)
                for prefix in PREFIXES]

    def on_delta(self, sequence: Sequence, delta: TokenDelta) -> None:
        """A token (or an end) reached the event loop."""
        if delta.token is not None:
            self._count_token(sequence, delta)
        if delta.finish is not None:
            self._last.pop(sequence, None)
            for counter in self._success:
                counter.labels(*self.labels, delta.finish).inc()
            for histogram in self._whole:
                histogram.labels(*self.labels).observe(max(0.0, delta.seconds - delta.arrived))

    def _count_token(self, sequence: Sequence, delta: TokenDelta) -> None:
        for counter in self._generated:
            counter.labels(*self.labels).inc()
        self._exits.labels(*self.labels, str(delta.exit_layer)).inc()
        before = self._last.get(sequence)
        if before is None:
            for counter in self._prompt:
                counter.labels(*self.labels).inc(sequence.spec.prompt_tokens)
            for histogram in self._first:
                histogram.labels(*self.labels).observe(max(0.0, delta.seconds - delta.arrived))
        else:
            for histogram in self._between:
                histogram.labels(*self.labels).observe(max(0.0, delta.seconds - before))
        self._last[sequence] = delta.seconds

    def forget(self, sequences: Iterable[Sequence]) -> None:
        """Requests that ended without a last delta (the client left): counted as aborted."""
        for sequence in sequences:
            if self._last.pop(sequence, None) is not None:
                for counter in self._success:
                    counter.labels(*self.labels, "abort").inc()

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class _EngineState:
    """Collector of what the engine knows at the moment of asking."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: prometheus_client would otherwise collect once to learn the names."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Gauges and counters of engine, scheduler and pool."""
        metrics, labels = self._metrics, self._metrics.labels
        engine = metrics.engine.llm.engine
        running = engine.scheduler.in_flight
        pool = engine.runner.memory.pool
        gauges = (("num_requests_running", "Sequences that hold a row", running),
                  ("num_requests_waiting", "Sequences that wait for a row",
                   max(0, metrics.engine.unfinished - running)),
                  ("kv_cache_usage_perc", "Share of KV superblocks in use, 0 to 1",
                   pool.blocks_in_use / pool.num_blocks))
        counted = engine.statistics
        lookups = (("prefix_cache_queries", "Prompt tokens looked up in the prefix cache",
                    counted.prefix_cache_queries),
                   ("prefix_cache_hits", "Prompt tokens that the prefix cache held", counted.prefix_cache_hits))
        for prefix in PREFIXES:
            for name, text, value in gauges:
                gauge = GaugeMetricFamily(f"{prefix}:{name}", text, labels=("model_name",))
                gauge.add_metric(labels, value)
                yield gauge
            for name, text, tokens in lookups:
                counter = CounterMetricFamily(f"{prefix}:{name}", text, labels=("model_name",))
                counter.add_metric(labels, tokens)
                yield counter
        sizes = GaugeMetricFamily("drex:pool_size", "Rows that wait before a segment",
                                  labels=("model_name", "segment"))
        for segment in range(1, engine.runner.num_segments + 1):
            sizes.add_metric((*labels, str(segment)), engine.scheduler.pools.size(segment))
        yield sizes
        for name, text in FROM_STATISTICS:
            count = getattr(counted, name, None)
            if count is not None:
                counter = CounterMetricFamily(f"drex:{name}", text, labels=("model_name",))
                counter.add_metric(labels, count)
                yield counter
        rules = CounterMetricFamily("drex:launches_by_rule", "Launches by rule and first segment (0: prefill)",
                                    labels=("model_name", "rule", "segment"))
        for (rule, segment), count in list(metrics.launches.by_rule.items()):
            rules.add_metric((*labels, rule, str(segment)), count)
        yield rules
