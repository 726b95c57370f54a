"""The processes of a deployment: who starts them, how they find each other, how they end."""
