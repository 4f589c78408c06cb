"""A small world to act in, an agent of stable-baselines3 that learns to, and CAMAL's term on its policy."""
