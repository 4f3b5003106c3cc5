"""The web of a worker, over a stand-in for the worker and storage in memory."""
