"""Learners, their snapshots and what MLflow hears of them."""
