"""The documentation: the OpenAPI document, and a page to read and try it, without any other host."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

from api.envelope import JsonResponse
from api.openapi import TITLE, openapi_document

_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>{TITLE}</title>
  <link rel="icon" type="image/png" href="docs/assets/favicon-32x32.png">
  <link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="docs/assets/swagger-ui-bundle.js"></script>
  <script>
    // This Swagger UI draws what we use of OpenAPI 3.1, but only knows the number of 3.0.
    fetch("openapi.json").then(answer => answer.json()).then(spec => SwaggerUIBundle({{
      spec: {{...spec, openapi: "3.0.3"}},
      dom_id: "#swagger-ui",
      deepLinking: true,
      persistAuthorization: false,
      validatorUrl: null,
      presets: [SwaggerUIBundle.presets.apis]
    }}));
  </script>
</body>
</html>
"""


async def start_page(request: Request) -> Response:
    """GET /: to the documentation."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")


async def docs_page(request: Request) -> Response:
    """GET /docs."""
    return HTMLResponse(_PAGE)


async def openapi(request: Request) -> Response:
    """GET /openapi.json."""
    return JsonResponse(openapi_document(request.app.state.backend.settings.public_url))


def docs_routes() -> list[BaseRoute]:
    """The routes of the documentation."""
    return [
        Route("/", start_page),
        Route("/docs", docs_page),
        Route("/openapi.json", openapi),
        Mount("/docs/assets", StaticFiles(directory=Path(swagger_ui_path))),
    ]
