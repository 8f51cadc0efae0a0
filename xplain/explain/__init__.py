"""Why a heuristic loses: exact regret attribution, blame by rule and atom, witnesses with both timelines."""
