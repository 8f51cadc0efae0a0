"""Second implementations of the scheduling model, written from its text alone, for tests to compare with."""
