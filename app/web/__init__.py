"""What a worker says over HTTP: films, models, probes, metrics, events and the dashboard."""
