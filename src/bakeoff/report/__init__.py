"""Records become pages: Markdown, one self-contained HTML file, PNG figures, terminal tables."""
