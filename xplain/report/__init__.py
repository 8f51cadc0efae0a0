"""The report: one self-contained HTML file (`page`). What it is made of is imported from its modules."""
