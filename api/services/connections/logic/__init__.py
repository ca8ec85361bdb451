"""What the kinds of the connections service share."""
