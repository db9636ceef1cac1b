"""jsonrpcclient, which makes requests and reads answers, over requests and websockets, which carry them.

    python with_jsonrpcclient.py HOME
"""

import asyncio
import json
import sys

import requests
from jsonrpcclient import Error, Ok, parse, request
from websockets.asyncio.client import connect

from larder_node import BLOCK, NOBODY, Node, is_balance, is_block, is_head, is_info, is_unknown_account, seen


def error_of(answer: Error) -> dict:
    return {"code": answer.code, "message": answer.message, "data": answer.data}


def over_http(node: Node) -> None:
    def see(what: str):
        return seen("jsonrpcclient over requests", what)

    def post(what):
        answer = requests.post(node.http, json=what, headers=node.headers, timeout=BLOCK)
        answer.raise_for_status()
        return parse(answer.json())

    def ok(answer) -> dict:
        assert isinstance(answer, Ok), answer
        return answer.result

    with see("node_info"):
        info = ok(post(request("node_info")))
        is_info(info)
    with see("chain_head"):
        is_head(ok(post(request("chain_head", []))))
    with see("parameters by name"):
        is_balance(ok(post(request("ledger_getBalance", {"account": info["account"]}))), info["account"])
    with see("parameters by position"):
        is_balance(ok(post(request("ledger_getBalance", [info["account"]]))), info["account"])
    with see("an error"):
        none = post(request("ledger_getAccount", [NOBODY]))
        assert isinstance(none, Error), none
        is_unknown_account(error_of(none))
    with see("a batch"):
        batch = [
            request("chain_head"),
            request("ledger_getAccount", [NOBODY]),
            request("ledger_getBalance", [info["account"]]),
        ]
        # Answers of a batch come in any order; they are told apart by their ids.
        answers = {answer.id: answer for answer in post(batch)}
        head, none, balance = (answers[asked["id"]] for asked in batch)
        is_head(ok(head))
        is_unknown_account(error_of(none))
        is_balance(ok(balance), info["account"])


async def over_web_socket(node: Node) -> None:
    def see(what: str):
        return seen("jsonrpcclient over websockets", what)

    async with connect(node.ws, additional_headers=node.headers) as socket, asyncio.timeout(BLOCK):
        with see("a subscription: a block comes, and it ends"):
            await socket.send(json.dumps(request("chain_subscribe")))
            begun = parse(json.loads(await socket.recv()))
            assert isinstance(begun, Ok), begun
            notice = json.loads(await socket.recv())
            assert notice["method"] == "chain_subscription", notice
            assert notice["params"]["subscription"] == begun.result, notice
            is_block(notice["params"]["result"])
            await socket.send(json.dumps(request("chain_unsubscribe", [begun.result])))
            # Another block may come first.
            while "id" not in (message := json.loads(await socket.recv())):
                is_block(message["params"]["result"])
            ended = parse(message)
            assert isinstance(ended, Ok) and ended.result is True, ended


if __name__ == "__main__":
    NODE = Node.of(sys.argv[1])
    over_http(NODE)
    asyncio.run(over_web_socket(NODE))
