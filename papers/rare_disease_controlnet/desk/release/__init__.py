"""After reading: what enters the corpus, what is drawn again, retraining, and export."""
