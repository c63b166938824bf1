"""A trained model on clips it has not seen: how well it does, and what it goes by."""
