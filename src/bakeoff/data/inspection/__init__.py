"""Looking at a dataset before it costs a GPU minute: `inspect`, `check` and `split`."""
