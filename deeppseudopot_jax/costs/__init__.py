"""What a potential is fitted to: named terms of weighted residuals, and penalties."""
