"""How a registered model decides: its bundle from disk, then from probabilities to actions."""
