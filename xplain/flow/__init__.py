"""Flow networks: heuristics and their benchmarks as nodes that split, pick, copy, multiply and tie flows."""
