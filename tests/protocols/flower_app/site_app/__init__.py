"""A Flower app of two sites, built from the federated engine."""
