"""The command `convert`: bands of other programs as a complete bundle."""
