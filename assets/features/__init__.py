"""Feature tables: what was known about an entity at the moment of prediction, and the proof that nothing else was used."""
