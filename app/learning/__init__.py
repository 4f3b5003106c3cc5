"""Where models learn: one ordered writer a model, with snapshots and recovery of its own."""
