"""How the last release's report is shown: on the terminal and as one page. Reads plain values, never the bucket."""
