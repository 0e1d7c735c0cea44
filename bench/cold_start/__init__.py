"""How long a new instance on AWS Lambda takes to its first answer."""
