"""Stage 1, capture: button, camera and microphone come in; fragments, a second of playable media each, and their facts go out."""
