"""The only stage that knows the others: it joins them into a study."""
