"""Exact search: clairvoyant optimum, cost-to-go of any state, certified [bound, incumbent] intervals."""
