"""What pages say of models: trainings, gates and approvals, and what labels cost."""
