"""Pictures from strangers: what is refused, what is made of the rest, and that nothing of it does harm."""
