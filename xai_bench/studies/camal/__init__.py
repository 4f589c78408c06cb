"""Class activation map attention learning, judged by its own claims."""
