"""How events are carried, without a broker."""
