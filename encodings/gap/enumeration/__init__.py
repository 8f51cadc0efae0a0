"""All workloads of an input space, and cheap bounds on their optima: the parts of the method `enumerate`."""
