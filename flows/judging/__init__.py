"""How a model is judged: labelled examples as arrays, and what else the gate weighs."""
