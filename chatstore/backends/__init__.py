"""The places where threads can be kept, one module each; `chatstore.urls` opens them by name."""
