"""Edge heat maps: where the flows of a heuristic and of its benchmark part, over many samples.

`score.heat_map` computes one, `draw` and `table` show it; nothing is imported here, because the processes that compute
flows need none of the libraries that draw.
"""
