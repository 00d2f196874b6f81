"""The data plane: bytes in → route → head rewritten → token → upstream → judged → bytes out."""
