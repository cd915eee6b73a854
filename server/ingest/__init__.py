"""Stage 5, ingest: batches and bytes in, admitted lines and fragments out."""
