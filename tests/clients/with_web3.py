"""web3: HTTP, a batch, a module of one's own methods, WebSocket.

    python with_web3.py HOME
"""

import asyncio
import sys

from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import Web3RPCError
from web3.method import Method
from web3.module import Module

from larder_node import NOBODY, Node, is_balance, is_head, is_info, is_unknown_account, seen


class Ledger(Module):
    """Methods are web3's own, so that it hands out results and raises errors as it does for Ethereum's."""

    info = Method("node_info")
    head = Method("chain_head")
    balance = Method("ledger_getBalance")
    account = Method("ledger_getAccount")


class AsyncLedger(Ledger):
    is_async = True


def over_http(node: Node) -> None:
    # Headers of one's own take the place of all of its.
    headers = {"Content-Type": "application/json", **node.headers}
    provider = HTTPProvider(node.http, request_kwargs={"headers": headers})
    ledger = Web3(provider, external_modules={"ledger": Ledger}).ledger

    def see(what: str):
        return seen("web3, HTTP", what)

    with see("node_info"):
        info = ledger.info()
        is_info(info)
    with see("chain_head"):
        is_head(ledger.head())
    with see("parameters by position"):
        is_balance(ledger.balance(info["account"]), info["account"])
    with see("parameters by name"):
        answer = provider.make_request("ledger_getBalance", {"account": info["account"]})
        is_balance(answer["result"], info["account"])
    with see("an error"):
        try:
            ledger.account(NOBODY)
        except Web3RPCError as error:
            is_unknown_account(error.rpc_response["error"])
        else:
            raise AssertionError("it was answered, where an error was due")
    with see("a batch"):
        head, none, balance = provider.make_batch_request(
            [
                ("chain_head", []),
                ("ledger_getAccount", [NOBODY]),
                ("ledger_getBalance", [info["account"]]),
            ]
        )
        is_head(head["result"])
        is_unknown_account(none["error"])
        is_balance(balance["result"], info["account"])


async def over_web_socket(node: Node) -> None:
    # Its subscriptions are `eth_subscribe`'s only.
    def see(what: str):
        return seen("web3, WebSocket", what)

    provider = WebSocketProvider(node.ws, websocket_kwargs={"additional_headers": node.headers})
    async with AsyncWeb3(provider, external_modules={"ledger": AsyncLedger}) as web3:
        with see("node_info"):
            info = await web3.ledger.info()
            is_info(info)
        with see("chain_head"):
            is_head(await web3.ledger.head())
        with see("parameters by position"):
            is_balance(await web3.ledger.balance(info["account"]), info["account"])
        with see("an error"):
            try:
                await web3.ledger.account(NOBODY)
            except Web3RPCError as error:
                is_unknown_account(error.rpc_response["error"])
            else:
                raise AssertionError("it was answered, where an error was due")


if __name__ == "__main__":
    NODE = Node.of(sys.argv[1])
    over_http(NODE)
    asyncio.run(over_web_socket(NODE))
