"""The figures that we promise: ratios, both sides measured side by side in one run."""
