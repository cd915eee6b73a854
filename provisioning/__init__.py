"""What makes a deployment and its devices: certificate authority, keys, broker settings, folders of state."""
