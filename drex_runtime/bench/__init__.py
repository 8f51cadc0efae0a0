"""`drex bench`: policies on the real engine at equal N, equal batch_max and equal output tokens, interleaved."""
