"""Measuring a CostProfile on the real engine, and holding the simulator's prediction against it."""
