"""What readings say: agreement, accuracy and quality, as pages, PDF, LaTeX and CSV."""
