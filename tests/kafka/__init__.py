"""On a real Apache Kafka: starts, rebalances, crashes."""
