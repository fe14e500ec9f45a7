"""The cart: a guest's behind a signed cookie, a user's behind the name in the token."""
