"""Fuzzing: mutated files for everything that reads data from outside. `make fuzz`."""
