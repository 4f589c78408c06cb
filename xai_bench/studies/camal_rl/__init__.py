"""CAMAL's claims where an agent learns by trial and error."""
