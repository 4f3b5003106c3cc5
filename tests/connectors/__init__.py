"""Connectors held to one contract, against files and a real web server with faults."""
