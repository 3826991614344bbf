"""The steps of the paper as pure functions: arrays, tables and records in, the same out; no paths, clock or network."""
