"""A whole Marquee from PyPI alone: broker, database and MLflow as child processes, and the archive of events."""
