"""Great Expectations suites on what was staged, as readable files, and the one function that runs them."""
