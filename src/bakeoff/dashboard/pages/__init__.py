"""One module a page: what it answers to, and what its template needs."""
