"""What is asked: studies, their configs, experiment files, raw folders, trained networks."""
