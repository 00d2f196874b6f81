"""The control plane: what an operator and an orchestrator may ask. Never a token."""
