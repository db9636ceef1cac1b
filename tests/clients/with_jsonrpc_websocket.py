"""jsonrpc-websocket: methods are attributes, notices call handlers.

    python with_jsonrpc_websocket.py HOME
"""

import asyncio
import sys

from jsonrpc_base.jsonrpc import ProtocolError
from jsonrpc_websocket import Server

from larder_node import BLOCK, NOBODY, Node, is_balance, is_block, is_head, is_info, is_unknown_account, seen


def see(what: str):
    return seen("jsonrpc-websocket", what)


async def calls(node: Node) -> None:
    server = Server(node.ws, headers=dict(node.headers))
    await server.ws_connect()
    try:
        with see("node_info"):
            info = await server.node_info()
            is_info(info)
        with see("chain_head"):
            is_head(await server.chain_head())
        with see("parameters by name"):
            is_balance(await server.ledger_getBalance(account=info["account"]), info["account"])
        with see("parameters by position"):
            is_balance(await server.ledger_getBalance(info["account"]), info["account"])
        with see("an error"):
            try:
                await server.ledger_getAccount(NOBODY)
            except ProtocolError as error:
                is_unknown_account(error.args[2]["error"])
            else:
                raise AssertionError("it was answered, where an error was due")
        with see("a subscription: a block comes, and it ends"):
            notices: asyncio.Queue[tuple[object, dict]] = asyncio.Queue()
            server.chain_subscription = lambda subscription, result: notices.put_nowait((subscription, result))
            begun = await server.chain_subscribe()
            async with asyncio.timeout(BLOCK):
                subscription, block = await notices.get()
            assert subscription == begun, (subscription, begun)
            is_block(block)
            assert await server.chain_unsubscribe(begun) is True
    finally:
        await server.close()


if __name__ == "__main__":
    asyncio.run(calls(Node.of(sys.argv[1])))
