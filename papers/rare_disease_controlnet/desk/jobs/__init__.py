"""What is asked of the engine: the configurator, the queue, live previews, and the worker."""
