"""Files in, files out: bundles, results, checkpoints."""
