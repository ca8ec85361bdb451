"""Authentication: accounts, passwords, tokens, and the encryption of secrets."""
