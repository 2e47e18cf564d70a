"""What is said of a result: reported numbers, verdicts, claims, comparison and page."""
