"""State shared by everything that schedules: pools, actions, states, objectives."""
