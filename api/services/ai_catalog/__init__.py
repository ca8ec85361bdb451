"""Assets, their definitions, and what keeps them up to date."""
