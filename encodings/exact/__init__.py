"""Exact search: clairvoyant optimum, cost-to-go of any state, certified [lower bound, incumbent] intervals."""
