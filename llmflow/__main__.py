"""`python -m llmflow` is the command `llmflow`."""

from llmflow.entry import main

main()
