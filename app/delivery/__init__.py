"""How events are carried: at least once over Kafka, with effects once."""
