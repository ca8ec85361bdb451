"""Schedules, sensors, automation and maintenance jobs."""
