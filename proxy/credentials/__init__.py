"""The credential core: tokens kept, renewed once for everybody, and never lost. Knows nothing of HTTP servers."""
