"""The way in from outside sources: one module a kind of interface, and one runner for all of them."""
