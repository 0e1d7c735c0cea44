"""chatstore behind the interfaces of other frameworks, a package each, loaded only where it is named."""
