"""Who works at the desk: users, their passwords and sessions, and who may do what."""
