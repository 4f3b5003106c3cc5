"""The embedded servers and the archive, each with the real thing."""
