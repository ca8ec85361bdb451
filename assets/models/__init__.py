"""Models: trained on a feature table, judged on rows they never saw, exported without pickle."""
