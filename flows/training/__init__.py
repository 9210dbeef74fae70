"""Parts of `train_challenger`: what there is to learn from beside the snapshot."""
