"""Wires the stages of a recorder: capture → journal → buffer → uplink, and what is due beside the media."""
