"""The drivers, over the SDK's two clients; they differ in nothing but how they wait."""
