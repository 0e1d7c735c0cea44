"""The drivers, over the SDK's two clients. They differ only in how they wait."""
