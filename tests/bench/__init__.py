"""What Marquee costs and how fast it is, with its peers beside it: a benchmark, not a test."""
