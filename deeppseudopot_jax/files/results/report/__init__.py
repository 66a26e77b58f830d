"""report.html: what a page shows, how it is made of that, and the tables of a folder behind it.

`render` alone knows jinja2 and the figures.
"""
