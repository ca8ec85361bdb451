"""Users, logins and tokens."""
