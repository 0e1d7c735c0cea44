"""``chatstore tokens``: what a user of a service shows, made where the service's secret is known."""

from __future__ import annotations

import argparse

from chatstore import user_tokens
from chatstore.cli.keys import duration
from chatstore.cli.output import Commands, add_json, write_json, write_line
from chatstore.settings import Settings

__all__ = ["add_tokens"]


def add_tokens(commands: Commands) -> None:
    """Add the command ``tokens`` with its one action."""
    text = "Tokens of users, signed with CHATSTORE_USER_TOKEN_SECRETS, for a CHATSTORE_AUTH of user-token."
    parser = commands.add_parser("tokens", description=text, help="issue tokens to users")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    text = "Writes a token, which nothing keeps and nobody can take back before it expires."
    one = actions.add_parser("issue", description=text, help="issue a token")
    one.add_argument("--user", required=True, help="whom it stands for: an owner, a participant")
    one.add_argument(
        "--scope", default="chat", metavar="LIST", help="of chat,read,write; chat is both (default: chat)"
    )
    one.add_argument(
        "--valid",
        type=duration,
        default=user_tokens.LONGEST,
        metavar="TIME",
        help="such as 30m or 12h, at most 24h (default: 24h)",
    )
    one.add_argument("--tenant", help="the tenant that it opens (default: the service's own)")
    add_json(one)
    one.set_defaults(run=_issue)


def _issue(arguments: argparse.Namespace) -> int:
    secret, *_ = user_tokens.secrets_of(Settings.from_environment().user_token_secrets)
    scopes = [name.strip() for name in arguments.scope.split(",")]
    token = user_tokens.issue(
        arguments.user, secret=secret, tenant=arguments.tenant, scopes=scopes, valid=arguments.valid
    )
    if arguments.json:
        write_json(
            {"token": token, "user": arguments.user, "expires_in": int(arguments.valid.total_seconds())}
        )
    else:
        write_line(token)
    return 0
