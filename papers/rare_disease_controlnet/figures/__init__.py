"""The study's figures: films as images, classifiers compared, and the engine's audit."""
