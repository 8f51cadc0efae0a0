"""Bounded claims about policies, for all workloads of an input space: decided by enumeration and by SMT."""
