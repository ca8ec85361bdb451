"""What the admin service decides, apart from HTTP."""
