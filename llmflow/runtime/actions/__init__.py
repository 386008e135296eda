"""What tasks do beside asking a model: programs, Python functions, HTTP requests. They know no pipeline."""
