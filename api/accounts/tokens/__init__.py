"""Tokens: logging in, going on, and logging out."""
