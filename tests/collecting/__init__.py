"""Collecting: what is due runs once, and its history tells the truth."""
