"""How long a new instance on Azure Functions takes to its first answer."""
