"""The command line: services of the embedded default, the demo, the report, benchmarks and tests."""
