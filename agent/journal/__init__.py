"""Stage 2, journal: fragments, fixes and events become lines; nothing counts until it is on disk and in the tree."""
