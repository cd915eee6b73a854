"""What is asked of the index, in SQL."""

from __future__ import annotations

COSIGNED = "UPDATE recording SET cosigned_s = :seconds WHERE stop < :size AND cosigned_s IS NULL"

SENT = "UPDATE fragment SET sent = 1 WHERE recording = :recording AND track = :track AND seq = :seq"

OF_TRACKS = """SELECT line, recording, track, seq, offset, bytes, sha256, pts, duration FROM fragment
    WHERE recording = :recording AND sent = :sent AND gone = 0 AND line < (SELECT cosigned FROM state) ORDER BY line"""
UNSENT = "UPDATE fragment SET sent = 0 WHERE recording = :recording AND track = :track AND seq = :seq AND gone = 0"
# All that there is to send was sent, and the ledger has not proved it.
UNPROVED = """SELECT name FROM recording WHERE receipt = 0 AND purged = 0 AND stop < (SELECT cosigned FROM state)
    AND NOT EXISTS (SELECT 1 FROM fragment WHERE recording = name AND sent = 0 AND gone = 0) ORDER BY start"""

ALREADY_SENT = "SELECT recording, track, seq FROM fragment WHERE sent = 1"
RECEIPT = "UPDATE recording SET receipt = 1 WHERE name = :recording AND receipt = 0 AND stop IS NOT NULL"
ALL_SENT = "UPDATE fragment SET sent = 1 WHERE recording = :recording"

# Marked first, then the oldest; the partial index `waiting` answers both, however many fragments were sent long ago.
WAITING_RECORDINGS = """SELECT name FROM recording WHERE purged = 0 AND EXISTS (
        SELECT 1 FROM fragment WHERE recording = name AND sent = 0 AND gone = 0 AND line < (SELECT cosigned FROM state))
    ORDER BY marked DESC, start"""

WAITING = """SELECT line, recording, track, seq, offset, bytes, sha256, pts, duration FROM fragment
    WHERE recording = :recording AND sent = 0 AND gone = 0 AND line < (SELECT cosigned FROM state) ORDER BY line"""

UNCERTAIN = "SELECT name FROM recording WHERE receipt = 0 AND purged = 0"

BACKLOG = "SELECT count(*), coalesce(sum(bytes), 0) FROM fragment WHERE sent = 0 AND gone = 0"

RECORDINGS = """SELECT name, start, stop, marked, count(line), coalesce(sum(bytes), 0),
        coalesce(sum(sent = 0 AND gone = 0), 0), cosigned_s, receipt, purged
    FROM recording LEFT JOIN fragment ON recording = name GROUP BY name ORDER BY start"""

# What is gone and was never sent can't be at the server.
STOPPED = """SELECT stop_leaf,
        count(line) FILTER (WHERE sent OR NOT gone), coalesce(sum(bytes) FILTER (WHERE sent OR NOT gone), 0),
        count(line) FILTER (WHERE gone AND NOT sent), coalesce(sum(bytes) FILTER (WHERE gone AND NOT sent), 0)
    FROM recording LEFT JOIN fragment ON recording = name
    WHERE name = :recording AND stop IS NOT NULL GROUP BY name"""
