"""Goods: the catalogue and its administration."""
