"""Tuning: parameters that the causes name are searched, checked on held-out workloads, and written for the engine."""
