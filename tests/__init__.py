"""What Marquee promises, held by machine."""
