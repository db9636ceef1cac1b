"""What the Python programs in this folder share: where the node is, what they expect of it, and how they say so.

A program is given the node's home. It prints a line of JSON for each thing that it has seen; the first that is
not as it should be ends it with exit code 1 and the reason on stderr.
"""

import json
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# How long a block may take, in seconds.
BLOCK = 60
# An account that nobody has: 32 zeros in multibase.
NOBODY = "z" + "1" * 32


@dataclass(frozen=True)
class Node:
    """Where the node of a home listens, and what opens it."""

    http: str
    ws: str
    headers: dict[str, str]

    @classmethod
    def of(cls, home: str) -> "Node":
        address = json.loads((Path(home) / "rpc.json").read_text())["address"]
        cookie = (Path(home) / "cookie").read_text().strip()
        return cls(
            http=f"http://{address}/rpc",
            ws=f"ws://{address}/rpc",
            headers={"Authorization": f"Bearer {cookie}"},
        )


@contextmanager
def seen(client: str, what: str):
    """Says that `client` has seen `what`, if the block ends well."""
    try:
        yield
    except Exception:
        print(f"{client}: {what}:", file=sys.stderr)
        raise
    print(json.dumps({"client": client, "seen": what}), flush=True)


def is_info(info: dict) -> None:
    assert info["profile"] == "dev", info
    assert re.fullmatch(r"z\w{40,}", info["account"]), info
    assert set(info["roles"]) <= {"keeper", "provider", "validator"}, info


def is_head(head: dict) -> None:
    assert isinstance(head["height"], int), head
    assert re.fullmatch(r"\w{40,}", head["hash"]), head
    datetime.fromisoformat(head["time"].replace("Z", "+00:00"))


def is_balance(balance: dict, account: str) -> None:
    assert balance["account"] == account, balance
    assert re.fullmatch(r"[0-9]+", balance["available"]), balance
    assert isinstance(balance["asOf"]["height"], int), balance


def is_unknown_account(error: dict) -> None:
    """The error object of an account that nobody has: code and data of the table in docs."""
    assert error["code"] == 1000, error
    assert isinstance(error["message"], str), error
    assert error["data"] == {"reason": "not_on_ledger", "retryable": False}, error


def is_block(block: dict) -> None:
    assert block["height"] > 0, block
    assert re.fullmatch(r"\w{40,}", block["hash"]), block
    assert isinstance(block["transactions"], int), block
