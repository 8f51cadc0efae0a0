"""The rooms off `engine.py`: requests, clock, scheduler, runner, attention, sampling, offline front end."""
