"""The recorder: press → capture → journal → buffer → uplink."""
