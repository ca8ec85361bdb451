"""Federated trainings: every round is a row, a commit and a materialization."""
