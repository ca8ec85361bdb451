"""Connections to the databases and object stores of a company."""
