"""Who may do what on which securable, and what of everything is visible."""
