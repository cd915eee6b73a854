"""The console's own API: what people's pages and programs ask for, over HTTP."""
