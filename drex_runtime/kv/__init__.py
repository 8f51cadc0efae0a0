"""The KV cache: one pool of cells over all layers, and tables that say which cell a token's entry is."""

from drex_runtime.kv.integrity import check_integrity
from drex_runtime.kv.pool import SCRATCH, KVPool, KVPoolError, blocks_needed
from drex_runtime.kv.prefix_cache import PrefixCache
from drex_runtime.kv.tables import KVTables

__all__ = ["SCRATCH", "KVPool", "KVPoolError", "KVTables", "PrefixCache", "blocks_needed", "check_integrity"]
