"""Azure Functions: hands every HTTP request to the service, which decides itself who may do what."""

import azure.functions as func

from chatstore.http.app import create_app

app = func.AsgiFunctionApp(app=create_app(), http_auth_level=func.AuthLevel.ANONYMOUS)
