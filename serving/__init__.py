"""Inference: trained models loaded by digest from their tables, and predictions with their provenance."""
