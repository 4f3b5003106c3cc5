"""What is learnt, without a broker: estimators, learners, snapshots and evaluation."""
