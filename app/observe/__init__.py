"""What people see of a running worker: metrics, logs and traces."""
