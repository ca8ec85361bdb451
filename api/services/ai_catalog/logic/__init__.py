"""What the catalogue decides, apart from HTTP."""
