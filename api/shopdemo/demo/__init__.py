"""The demo catalogue: goods, categories and their pictures, for a shop that has just been opened."""
