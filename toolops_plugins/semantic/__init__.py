"""The semantic cache: questions in other words share an answer, and it knows when not to answer."""
