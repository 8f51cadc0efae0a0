"""Problems the analyzer can analyse: an input space, a heuristic, a benchmark, features."""
