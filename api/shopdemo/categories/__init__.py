"""Categories: the tree that goods are sorted into."""
