"""Stage 6, ledger: admitted facts and people's acts in, an append-only log and its proofs out."""
