"""The toolkit: data of other programs in, potentials and figures out; a package per command."""
