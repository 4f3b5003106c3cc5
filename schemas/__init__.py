"""What is said: commands, events and entities, as plain data with no I/O."""
