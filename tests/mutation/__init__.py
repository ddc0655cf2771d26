"""Mutation testing of the pure modules, and the mutants that may survive it."""
