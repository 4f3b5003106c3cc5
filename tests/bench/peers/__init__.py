"""The processes that are measured: Marquee's parts alone, and other stream processors with the same model."""
