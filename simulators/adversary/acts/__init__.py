"""The table: everything that a forger does here, by what he does it to."""

from __future__ import annotations

from simulators.adversary.acts import cards, lines, media, proofs, starts, stores
from simulators.adversary.table import Act

TABLE: tuple[Act, ...] = (*media.act.rows, *lines.act.rows, *proofs.act.rows, *cards.act.rows, *starts.act.rows, *stores.act.rows)
