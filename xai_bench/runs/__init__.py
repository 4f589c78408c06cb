"""Suites, plans, the store, and what carries a plan out. Imports nothing here, so that reports need no torch."""
