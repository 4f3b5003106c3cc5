"""What is decided: one stage a module, plain functions from a message to events."""
