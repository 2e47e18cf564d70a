"""What was done at the desk, by whom: a log that is only added to, and that shows changes."""
