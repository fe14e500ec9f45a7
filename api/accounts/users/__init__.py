"""Users: who has an account, and what they may do."""
