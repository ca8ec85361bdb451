"""When things run: schedules, sensors, automation and maintenance."""
