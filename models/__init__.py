"""What is learnt: River estimators, features, evaluation and the snapshot format."""
