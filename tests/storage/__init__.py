"""Documents and pointers, in memory and in the embedded database."""
