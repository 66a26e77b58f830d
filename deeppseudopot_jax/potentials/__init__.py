"""Form factors v(q) as pure functions of parameters; one file per form."""
