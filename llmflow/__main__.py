"""`python -m llmflow` is the command `llmflow`."""

from llmflow.cli import main

main()
