"""The annotations we keep: their versions, what they count as, how far we have read."""
