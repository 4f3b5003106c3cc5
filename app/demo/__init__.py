"""`marquee demo`: real ratings of real films through the real pipeline, with a report at the end."""
