"""The way out: documents that people query, and pointers to model snapshots."""
