"""What is decided, stage by stage."""
