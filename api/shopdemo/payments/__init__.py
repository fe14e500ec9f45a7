"""Payments of orders, through a payment gateway that is called over HTTP."""
