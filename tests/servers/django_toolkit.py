"""An authorization server that others wrote: django-oauth-toolkit on SQLite, at its strictest, with an API behind it.

    python django_toolkit.py DESCRIPTOR FOLDER     serves on that inherited listening socket, its database in FOLDER

Refresh tokens rotate, the use of a spent one kills the whole grant, there is no grace period, PKCE is required. The
environment's ACCESS_TOKEN_EXPIRE_SECONDS is the lifetime. All that is ours is the settings, three clients, one person,
and `/test/`: what the server counted, and an expiry at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from werkzeug.serving import make_server

DESCRIPTOR, FOLDER = int(sys.argv[1]), Path(sys.argv[2])

LOGIN = (
    '<!DOCTYPE html><html><head><title>Sign in</title></head><body><form method="post">{% csrf_token %}{{ form.as_p }}'
    '<button type="submit">Sign in</button></form></body></html>'
)

settings.configure(
    SECRET_KEY="of a test, kept from nobody",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    LOGIN_URL="/login/",
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    # Tables straight from the models: running a hundred migrations is most of the start otherwise.
    MIGRATION_MODULES=dict.fromkeys(["auth", "contenttypes", "sessions", "oauth2_provider"]),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.counting",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
                    "django.template.loaders.app_directories.Loader",
                ],
                "context_processors": ["django.contrib.auth.context_processors.auth"],
            },
        }
    ],
    # A transaction takes the write lock when it begins: one that only finds out later fails at once under SQLite.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "server.db",
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
            },
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # slow ones cost half a second a token
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ.get("ACCESS_TOKEN_EXPIRE_SECONDS", "3600")),
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
        "PKCE_REQUIRED": True,
        "SCOPES": {"read": "Read greetings", "write": "Write greetings"},
        "DEFAULT_SCOPES": ["read"],
    },
)
django.setup()

# Only a configured Django lets these be imported.
import oauth2_provider  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse  # noqa: E402
from django.urls import include, path, re_path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.static import serve  # noqa: E402
from oauth2_provider.decorators import protected_resource_metadata  # noqa: E402
from oauth2_provider.models import AccessToken, Application, RefreshToken  # noqa: E402

ANSWERS: Counter[str] = Counter()  # "GRANT_TYPE STATUS" of every token call


def counting(answer: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Count what the token endpoint is asked for, and what it answers."""

    def counted(request: HttpRequest) -> HttpResponseBase:
        grant_type = request.POST.get("grant_type", "none") if request.path == "/o/token/" else None
        response = answer(request)
        if grant_type is not None:
            ANSWERS[f"{grant_type} {response.status_code}"] += 1
        return response

    return counted


def hello(request: HttpRequest) -> HttpResponse:
    """Give the resource that tokens are for."""
    owner = request.resource_owner
    return JsonResponse({"hello": owner.username if owner else "machine"})


def state(_: HttpRequest) -> HttpResponse:
    """Tell what was counted, and what the tables hold."""
    refresh_tokens = RefreshToken.objects.all()
    return JsonResponse(
        {
            "answers": dict(ANSWERS),
            "refresh_tokens": refresh_tokens.count(),
            "live_refresh_tokens": refresh_tokens.filter(revoked__isnull=True).count(),
            "access_tokens": AccessToken.objects.count(),
        }
    )


@csrf_exempt
def expire(_: HttpRequest) -> HttpResponse:
    """Let every access token expire now. Deleted, they would take their refresh tokens with them."""
    AccessToken.objects.update(expires=timezone.now())
    return HttpResponse(status=204)


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", LoginView.as_view()),
    path("api/hello", protected_resource_metadata(scopes=["read"])(hello)),  # 401; without `_metadata` a bare 403
    re_path(r"^static/(?P<path>.*)$", serve, {"document_root": Path(oauth2_provider.__file__).parent / "static"}),
    path("test/state", state),
    path("test/expire", expire),
]


def fill() -> None:
    """Make the tables, the person and the clients that FOLDER/people.json names."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    people = json.loads((FOLDER / "people.json").read_text())
    person = User.objects.create_user(people["user"], password=people["password"])
    for client_id, secret in people["clients"].items():
        machine = client_id.startswith("machine")
        Application.objects.create(
            name=client_id,
            client_id=client_id,
            client_secret=secret,
            user=person,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=(
                Application.GRANT_CLIENT_CREDENTIALS if machine else Application.GRANT_AUTHORIZATION_CODE
            ),
            redirect_uris="" if machine else people["redirect_uri"],
        )


if __name__ == "__main__":
    fill()
    make_server("127.0.0.1", 0, get_wsgi_application(), threaded=True, fd=DESCRIPTOR).serve_forever()
