"""What a service declares, and the machine that carries it out."""
