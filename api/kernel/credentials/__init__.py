"""Who is calling: accounts, passwords, tokens, and how secrets are sealed."""
