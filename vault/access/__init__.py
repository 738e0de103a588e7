"""Who may do what: people, sessions, tokens, devices, permissions, grants."""
