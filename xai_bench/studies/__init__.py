"""The experiments behind the claims, each with its report."""
