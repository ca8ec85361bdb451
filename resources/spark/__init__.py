"""Apache Spark over Spark Connect: the resource, the servers that it starts, and how it writes Delta tables."""
