"""Orders: stock is reserved when they are placed, and returned once if they are not paid."""
