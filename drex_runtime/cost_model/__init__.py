"""What launches cost now: durations seen by the running engine (or simulator), and the ART that follows from them."""
