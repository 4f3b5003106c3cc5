"""What is said on the wire, and what it is called."""
