"""Connectors against the servers that sources really run."""
