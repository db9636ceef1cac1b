"""A wallet in Python that trusts no node: it signs with its own key, and believes a balance only once it has
checked it down to the validators' signatures. docs/wallet.md walks through it.

    python wallet.py new KEYFILE
    python wallet.py send --key KEYFILE --to ACCOUNT --amount NANO --rpc URL --cookie FILE --genesis HASH
    python wallet.py verify --account ACCOUNT --rpc URL --cookie FILE --genesis HASH [--forge WHAT]

The result is one line of JSON. Exit code 0: done; 1: refused, with the reason on stderr.
"""

import argparse
import json
import os
import struct
import sys
import time
import urllib.request

import dag_cbor
from blake3 import blake3
from multiformats import multibase
from nacl.signing import SigningKey
from py_ecc.bls import G2ProofOfPossession as bls

# ---- bytes ---------------------------------------------------------------------------------------------


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def tohex(data: bytes) -> str:
    return "0x" + data.hex()


def u64(n: int) -> bytes:
    return struct.pack("<Q", n)


# Ids are 32 bytes, written in multibase base58btc.
ident = multibase.decode


def shown(data: bytes) -> str:
    return multibase.encode(data, "base58btc")


def derive(context: str, data: bytes) -> bytes:
    """BLAKE3 in its key derivation mode: each kind of value has a context of its own."""
    return blake3(data, derive_key_context=context).digest()


def keyed(context: str, data: bytes) -> bytes:
    return blake3(data, key=derive(context, b"")).digest()


class Refused(Exception):
    pass


def demand(holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


# ---- the node ------------------------------------------------------------------------------------------


class Node:
    def __init__(self, url: str, cookie: str):
        self.url = url + "/rpc"
        with open(cookie) as file:
            self.cookie = file.read().strip()

    def ask(self, method: str, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + self.cookie}
        request = urllib.request.Request(self.url, body.encode(), headers)
        with urllib.request.urlopen(request) as answer:
            answer = json.load(answer)
        demand("error" not in answer, f"{method}: {answer.get('error', {}).get('message')}")
        return answer["result"]


# ---- paying --------------------------------------------------------------------------------------------


def signing_payload(genesis: bytes, transfer: dict) -> bytes:
    """What is signed: from, to, amount, nonce, expiry, and that no sub-key signs."""
    auth = transfer["auth"]
    numbers = struct.pack("<QQQ", transfer["amount"], auth["nonce"], auth["expiry"])
    layout = transfer["from"] + transfer["to"] + numbers + bytes(33)
    return derive("larder v1 transfer", genesis + layout)


def send(node: Node, genesis: bytes, key: SigningKey, to: str, amount: str) -> dict:
    account = bytes(key.verify_key)
    built = node.ask("tx_build", to=to, amount=amount, **{"from": shown(account)})
    # The node may say what it likes: what is signed is what this program reads in the transaction.
    tx = dag_cbor.decode(unhex(built["unsigned"]))
    demand(set(tx) == {"transfer"}, "the node built no transfer")
    transfer = tx["transfer"]
    demand(transfer["from"] == account and transfer["to"] == ident(to), "the node changed who pays whom")
    demand(transfer["amount"] == int(amount), "the node changed the amount")
    demand(transfer["by"] is None, "the node names a sub-key")
    payload = signing_payload(genesis, transfer)
    demand(payload == unhex(built["signingPayload"]), "the signing payload is not that of this transfer")

    transfer["sig"] = key.sign(payload).signature
    signed = dag_cbor.encode(tx)
    sent = node.ask("tx_submit", tx=tohex(signed))
    demand(sent["tx"] == shown(blake3(signed).digest()), "the node names another transaction")
    waited = node.ask("tx_wait", tx=sent["tx"], seconds=60)
    demand(waited["status"] == "included", f"the transaction is {waited['status']}")
    again = node.ask("tx_submit", tx=tohex(signed))
    return {
        "account": shown(account),
        "tx": sent["tx"],
        "height": waited["height"],
        "again": again["status"],
    }


# ---- believing -----------------------------------------------------------------------------------------

DAYS = 86_400_000


def now() -> int:
    return int(time.time() * 1000)


def set_hash(validators: list) -> bytes:
    members = (v["node"] + v["bls"] + u64(v["power"]) for v in validators)
    return derive("larder v1 validator set", struct.pack("<I", len(validators)) + b"".join(members))


def read_header(data: bytes) -> dict:
    demand(len(data) == 354, "a header has 354 bytes")
    height, _round, made = struct.unpack_from("<QIQ", data)
    return {
        "hash": derive("larder v1 block header", data),
        "height": height,
        "time": made,
        "prev": data[20:52],
        "validators": data[84:116],
        "next_validators": data[116:148],
        "state_root": data[322:354],
    }


def check_certificate(data: bytes, header: dict, validators: list, genesis: bytes) -> None:
    """That validators of more than two thirds of the set's weight signed for the block."""
    of, bitmap, signature = data[:44], data[44:-96], data[-96:]
    demand(len(bitmap) == (len(validators) + 7) // 8, "the certificate is of another set")
    height = struct.unpack_from("<Q", of)[0]
    demand((height, of[12:]) == (header["height"], header["hash"]), "the certificate is another block's")
    bits = int.from_bytes(bitmap, "little")
    demand(bits >> len(validators) == 0, "the certificate names a validator that is not in the set")
    signers = [v for place, v in enumerate(validators) if bits >> place & 1]
    quorum = sum(v["power"] for v in validators) * 2 // 3 + 1
    demand(sum(v["power"] for v in signers) >= quorum, "too few validators signed the certificate")
    message = derive("larder v1 certificate", genesis + of)
    # py_ecc checks keys and signature to be points of their subgroups and not the identity.
    holds = bls.FastAggregateVerify([v["bls"] for v in signers], message, signature)
    demand(holds, "the certificate's signature is not the validators'")


def beginning(genesis: bytes, document: bytes) -> dict:
    """The genesis document, named by its hash: who makes the first blocks final."""
    demand(blake3(document).digest() == genesis, "the document is another network's")
    said = dag_cbor.decode(document)
    for validator in said["validators"]:
        has = bls.PopVerify(validator["bls"], validator["possession"])
        demand(has, "a validator does not have its key")
    validators = [{"node": v["node"], "bls": v["bls"], "power": 1} for v in said["validators"]]
    return {"genesis": genesis, "height": 0, "hash": genesis, "time": said["start"], "set": validators}


def advance(trusted: dict, layout: bytes, certificate: bytes, following: list | None = None) -> dict:
    """Trusts a later block that the trusted validators made final, and the set after it."""
    header = read_header(layout)
    height = header["height"]
    demand(now() - trusted["time"] <= 14 * DAYS, "what is trusted is older than 14 days")
    demand(height >= trusted["height"], "the block is older than the one trusted")
    if height == trusted["height"]:
        demand(header["hash"] == trusted["hash"], "another block at a trusted height")
        return trusted
    follows = height > trusted["height"] + 1 or header["prev"] == trusted["hash"]
    demand(follows, "the block does not follow")
    demand(trusted["time"] <= header["time"] <= now() + 60_000, "the block's time is wrong")
    is_theirs = header["validators"] == set_hash(trusted["set"])
    demand(is_theirs, f"block {height} names other validators than those trusted")
    check_certificate(certificate, header, trusted["set"], trusted["genesis"])
    validators = trusted["set"] if following is None else following
    named = set_hash(validators) == header["next_validators"]
    demand(named, "the next validators are not those that the block names")
    return {**trusted, **header, "set": validators}


def check_path(account: bytes, value: bytes | None, path: bytes, root: bytes) -> None:
    """From an account's record up to the root of all accounts."""

    def bit(key: bytes, i: int) -> int:
        return key[i >> 3] >> (7 - (i & 7)) & 1

    def leaf(key: bytes, digest: bytes) -> bytes:
        return keyed("larder v1 map leaf", key + digest)

    end = path[0]
    rest = path[65:] if end == 2 else path[1:]
    count = struct.unpack_from("<H", rest)[0]
    demand(end <= 2 and count <= 256 and len(rest) == 2 + 32 * count, "the path is malformed")
    if end == 0:
        demand(value is not None, "the path is of a record, and there is none")
        part = leaf(account, keyed("larder v1 map value", value))
    else:
        demand(value is None, "the path shows that there is no record")
        part = bytes(32)
        if end == 2:
            other = path[1:33]
            same = all(bit(other, i) == bit(account, i) for i in range(count))
            demand(same and other != account, "the path is another account's")
            part = leaf(other, path[33:65])
    for depth in reversed(range(count)):
        sibling = rest[2 + 32 * depth : 34 + 32 * depth]
        pair = sibling + part if bit(account, depth) else part + sibling
        part = keyed("larder v1 map node", pair)
    demand(part == root, "the path does not lead from the account's record to the root")


def believe(genesis: bytes, account: bytes, answers: dict) -> dict:
    """All that a node answered, and what of it can be believed: pure, so that a forged answer is easily
    tried."""
    proof = answers["proof"]
    trusted = beginning(genesis, unhex(answers["document"]))
    for change in answers["changes"]:
        if change["header"]["height"] > proof["header"]["height"]:
            break
        following = dag_cbor.decode(unhex(change["next"]))
        layout, certificate = unhex(change["header"]["layout"]), unhex(change["certificate"])
        trusted = advance(trusted, layout, certificate, following)
    layout = unhex(proof["header"]["layout"])
    trusted = advance(trusted, layout, unhex(proof["certificate"]))
    accounts, providers, rest = (ident(proof["roots"][r]) for r in ("accounts", "providers", "rest"))
    root = derive("larder v1 state root", accounts + providers + rest)
    demand(root == read_header(layout)["state_root"], "the roots are not those of the state")
    value = unhex(proof["value"]) if "value" in proof else None
    check_path(account, value, unhex(proof["path"]), accounts)
    balance = dag_cbor.decode(value)["balance"] if value is not None else 0
    return {
        "balance": str(balance),
        "height": str(trusted["height"]),
        "changes": len(answers["changes"]),
        "validators": len(trusted["set"]),
    }


def gather(node: Node, account: str) -> dict:
    document = node.ask("chain_getGenesis")["document"]
    proof = node.ask("ledger_getProof", account=account)
    changes, more = [], {}
    while True:
        page = node.ask("chain_getValidatorChanges", **{"from": 1}, **more)
        changes += page["items"]
        if "nextCursor" not in page:
            return {"document": document, "changes": changes, "proof": proof}
        more = {"cursor": page["nextCursor"]}


# ---- lies, for the tests -------------------------------------------------------------------------------


def forge(what: str, answers: dict) -> None:
    proof = answers["proof"]
    if what == "balance":  # a richer account
        record = dag_cbor.decode(unhex(proof["value"]))
        record["balance"] += 1_000_000_000
        proof["value"] = tohex(dag_cbor.encode(record))
    elif what == "certificate":  # the right bytes, signed by somebody else
        data = unhex(proof["certificate"])
        proof["certificate"] = tohex(data[:-96] + bls.Sign(4711, data[:44]))
    elif what == "validators":  # a change is kept back, so that the validators before would still count
        demand(answers["changes"], "the validators never changed: there is nothing to keep back")
        answers["changes"].pop()
    else:
        raise Refused(f"no such lie: {what}")


# ---- the command line ----------------------------------------------------------------------------------


def main() -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["new", "send", "verify"])
    parser.add_argument("file", nargs="?")
    for option in ("key", "to", "amount", "account", "rpc", "cookie", "genesis", "forge"):
        parser.add_argument("--" + option)
    said = parser.parse_args()
    if said.command == "new":
        key = SigningKey.generate()
        with open(os.open(said.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(bytes(key).hex())
        return {"account": shown(bytes(key.verify_key))}
    node, genesis = Node(said.rpc, said.cookie), ident(said.genesis)
    if said.command == "send":
        with open(said.key) as file:
            key = SigningKey(bytes.fromhex(file.read()))
        return send(node, genesis, key, said.to, said.amount)
    answers = gather(node, said.account)
    if said.forge:
        forge(said.forge, answers)
    return believe(genesis, ident(said.account), answers)


if __name__ == "__main__":
    try:
        print(json.dumps(main()))
    except Refused as why:
        print(f"refused: {why}", file=sys.stderr)
        sys.exit(1)
