"""Charges, and their refunds."""
