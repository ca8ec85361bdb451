"""What the service decides, apart from HTTP."""
