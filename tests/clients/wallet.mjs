// A wallet in JavaScript that trusts no node: it signs with its own key, and believes a balance only once it
// has checked it down to the validators' signatures. docs/wallet.md walks through it.
//
//   node wallet.mjs new KEYFILE
//   node wallet.mjs send --key KEYFILE --to ACCOUNT --amount NANO --rpc URL --cookie FILE --genesis HASH
//   node wallet.mjs verify --account ACCOUNT --rpc URL --cookie FILE --genesis HASH [--forge WHAT]
//
// The result is one line of JSON. Exit code 0: done; 1: refused, with the reason on stderr.

import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import * as dagCbor from '@ipld/dag-cbor'
import { bls12_381 } from '@noble/curves/bls12-381'
import { ed25519 } from '@noble/curves/ed25519'
import { blake3 } from '@noble/hashes/blake3'
import { base58btc } from 'multiformats/bases/base58'

// ---- bytes --------------------------------------------------------------------------------------------

const utf8 = (text) => new TextEncoder().encode(text)
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex')
const unhex = (text) => new Uint8Array(Buffer.from(text.slice(2), 'hex'))
const concat = (...parts) => new Uint8Array(Buffer.concat(parts))
const equal = (a, b) => Buffer.compare(a, b) === 0
// Ids are 32 bytes, written in multibase base58btc.
const id = (text) => base58btc.decode(text)
const shown = (bytes) => base58btc.encode(bytes)
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b }
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b }

// BLAKE3 in its key derivation mode: each kind of value has a context of its own.
const derive = (context, bytes) => blake3(bytes, { context: utf8(context) })
const keyed = (context, bytes) => blake3(bytes, { key: derive(context, new Uint8Array()) })

class Refused extends Error {}
const demand = (holds, why) => { if (!holds) throw new Refused(why) }

// ---- the node -----------------------------------------------------------------------------------------

class Node {
  constructor(url, cookie) { this.url = url; this.cookie = readFileSync(cookie, 'utf8').trim(); this.calls = 0 }

  async ask(method, params = {}) {
    const answer = await fetch(this.url + '/rpc', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer ' + this.cookie },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++this.calls, method, params }),
    })
    const { result, error } = await answer.json()
    demand(!error, `${method}: ${error?.message}`)
    return result
  }
}

// ---- paying -------------------------------------------------------------------------------------------

// What a transfer's signature covers: from, to, amount, nonce, expiry, and that no sub-key signs.
const transferLayout = ({ from, to, amount, auth }) =>
  concat(from, to, u64(amount), u64(auth.nonce), u64(auth.expiry), new Uint8Array(33))

const signingPayload = (genesis, transfer) =>
  derive('larder v1 transfer', concat(genesis, transferLayout(transfer)))

async function send(node, genesis, secret, to, amount) {
  const from = ed25519.getPublicKey(secret)
  const built = await node.ask('tx_build', { to, amount, from: shown(from) })
  // The node may say what it likes: what is signed is what this program reads in the transaction.
  const tx = dagCbor.decode(unhex(built.unsigned))
  const { transfer } = tx
  demand(Object.keys(tx).length === 1 && transfer, 'the node built no transfer')
  demand(equal(transfer.from, from) && equal(transfer.to, id(to)), 'the node changed who pays whom')
  demand(BigInt(transfer.amount) === BigInt(amount), 'the node changed the amount')
  demand(transfer.by === null, 'the node names a sub-key')
  const payload = signingPayload(genesis, transfer)
  demand(equal(payload, unhex(built.signingPayload)), 'the signing payload is not that of this transfer')

  transfer.sig = ed25519.sign(payload, secret)
  const signed = dagCbor.encode(tx)
  const sent = await node.ask('tx_submit', { tx: hex(signed) })
  demand(sent.tx === shown(blake3(signed)), 'the node names another transaction')
  const waited = await node.ask('tx_wait', { tx: sent.tx, seconds: 60 })
  demand(waited.status === 'included', `the transaction is ${waited.status}`)
  const again = await node.ask('tx_submit', { tx: hex(signed) })
  return { account: shown(from), tx: sent.tx, height: waited.height, again: again.status }
}

// ---- believing ----------------------------------------------------------------------------------------

const DAYS = 86_400_000n
const SIGNED = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'
const POSSESSED = 'BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'
const bls = bls12_381.longSignatures
const now = () => BigInt(Date.now())

// Keys are points of G1, signatures of G2, each in its subgroup and not the identity.
function point(group, bytes, what) {
  let read
  try { read = group.fromHex(bytes) } catch { throw new Refused(`${what} is no point`) }
  demand(!read.is0(), `${what} is the identity`)
  return read
}
const blsKey = (bytes) => point(bls12_381.G1.ProjectivePoint, bytes, 'a validator\'s key')
const blsSignature = (bytes) => point(bls12_381.G2.ProjectivePoint, bytes, 'the signature')
const blsHolds = (signature, message, domain, key) => bls.verify(signature, bls.hash(message, domain), key)

const setHash = (set) => derive('larder v1 validator set', concat(
  u32(set.length), ...set.map(({ node, bls, power }) => concat(node, bls, u64(power)))))

function readHeader(bytes) {
  const at = (from, length) => bytes.subarray(from, from + length)
  const int = (from) => Buffer.from(at(from, 8)).readBigUInt64LE()
  demand(bytes.length === 354, 'a header has 354 bytes')
  return {
    hash: derive('larder v1 block header', bytes),
    height: int(0), time: int(12), prev: at(20, 32), validators: at(84, 32),
    nextValidators: at(116, 32), stateRoot: at(322, 32),
  }
}

// That validators of more than two thirds of the set's weight signed for the block.
function checkCertificate(bytes, header, set, genesis) {
  const bitmap = bytes.subarray(44, bytes.length - 96)
  demand(bitmap.length === Math.ceil(set.length / 8), 'the certificate is of another set')
  const of = bytes.subarray(0, 44)
  demand(Buffer.from(of).readBigUInt64LE() === header.height && equal(of.subarray(12), header.hash),
    'the certificate is another block\'s')
  const signs = (place) => (bitmap[place >> 3] >> (place & 7)) & 1
  demand(![...Array(bitmap.length * 8).keys()].some((i) => i >= set.length && signs(i)),
    'the certificate names a validator that is not in the set')
  const signers = set.filter((_, place) => signs(place))
  const weight = (members) => members.reduce((sum, { power }) => sum + BigInt(power), 0n)
  const quorum = weight(set) * 2n / 3n + 1n
  demand(weight(signers) >= quorum, 'too few validators signed the certificate')
  const key = bls.aggregatePublicKeys(signers.map((member) => blsKey(member.bls)))
  const message = derive('larder v1 certificate', concat(genesis, of))
  demand(blsHolds(blsSignature(bytes.subarray(-96)), message, SIGNED, key),
    'the certificate\'s signature is not the validators\'')
}

// The genesis document, named by its hash: who makes the first blocks final.
function beginning(genesis, document) {
  demand(equal(blake3(document), genesis), 'the document is another network\'s')
  const { start, validators } = dagCbor.decode(document)
  for (const { bls: key, possession } of validators) {
    demand(blsHolds(blsSignature(possession), key, POSSESSED, blsKey(key)), 'a validator does not have its key')
  }
  const set = validators.map(({ node, bls }) => ({ node, bls, power: 1 }))
  return { genesis, height: 0n, hash: genesis, time: BigInt(start), set }
}

// Trusts a later block that the trusted validators made final, and the set after it.
function advance(trusted, layout, certificate, next) {
  const header = readHeader(layout)
  demand(now() - trusted.time <= 14n * DAYS, 'what is trusted is older than 14 days')
  demand(header.height >= trusted.height, 'the block is older than the one trusted')
  demand(header.height > trusted.height || equal(header.hash, trusted.hash), 'another block at a trusted height')
  if (header.height === trusted.height) return trusted
  demand(header.height > trusted.height + 1n || equal(header.prev, trusted.hash), 'the block does not follow')
  demand(header.time >= trusted.time && header.time <= now() + 60_000n, 'the block\'s time is wrong')
  demand(equal(header.validators, setHash(trusted.set)),
    `block ${header.height} names other validators than those trusted`)
  checkCertificate(certificate, header, trusted.set, trusted.genesis)
  const set = next ?? trusted.set
  demand(equal(setHash(set), header.nextValidators), 'the next validators are not those that the block names')
  return { ...trusted, ...header, set }
}

// From an account's record up to the root of all accounts.
function checkPath(account, value, path, root) {
  const bit = (key, i) => (key[i >> 3] >> (7 - (i & 7))) & 1
  const end = path[0]
  const rest = path.subarray(end === 2 ? 65 : 1)
  const count = Buffer.from(rest.subarray(0, 2)).readUInt16LE()
  demand(end <= 2 && count <= 256 && rest.length === 2 + 32 * count, 'the path is malformed')
  const leaf = (key, digest) => keyed('larder v1 map leaf', concat(key, digest))
  let part
  if (end === 0) {
    demand(value, 'the path is of a record, and there is none')
    part = leaf(account, keyed('larder v1 map value', value))
  } else {
    demand(!value, 'the path shows that there is no record')
    part = new Uint8Array(32)
    if (end === 2) {
      const other = path.subarray(1, 33)
      const same = [...Array(count).keys()].every((i) => bit(other, i) === bit(account, i))
      demand(same && !equal(other, account), 'the path is another account\'s')
      part = leaf(other, path.subarray(33, 65))
    }
  }
  for (let depth = count - 1; depth >= 0; depth--) {
    const sibling = rest.subarray(2 + 32 * depth, 34 + 32 * depth)
    part = keyed('larder v1 map node', bit(account, depth) ? concat(sibling, part) : concat(part, sibling))
  }
  demand(equal(part, root), 'the path does not lead from the account\'s record to the root')
}

// All that a node answered, and what of it can be believed: pure, so that a forged answer is easily tried.
function believe(genesis, account, { document, changes, proof }) {
  let trusted = beginning(genesis, unhex(document))
  const newest = BigInt(proof.header.height)
  for (const change of changes) {
    if (BigInt(change.header.height) > newest) break
    const next = dagCbor.decode(unhex(change.next))
    trusted = advance(trusted, unhex(change.header.layout), unhex(change.certificate), next)
  }
  trusted = advance(trusted, unhex(proof.header.layout), unhex(proof.certificate))
  const { stateRoot } = readHeader(unhex(proof.header.layout))
  const [accounts, providers, rest] = ['accounts', 'providers', 'rest'].map((root) => id(proof.roots[root]))
  demand(equal(derive('larder v1 state root', concat(accounts, providers, rest)), stateRoot),
    'the roots are not those of the state')
  const value = proof.value && unhex(proof.value)
  checkPath(account, value, unhex(proof.path), accounts)
  const balance = value ? BigInt(dagCbor.decode(value).balance) : 0n
  return { balance, height: trusted.height, changes: changes.length, validators: trusted.set.length }
}

async function gather(node, account) {
  const { document } = await node.ask('chain_getGenesis')
  const proof = await node.ask('ledger_getProof', { account })
  const changes = []
  let cursor
  do {
    const page = await node.ask('chain_getValidatorChanges', { from: 1, cursor })
    changes.push(...page.items)
    cursor = page.nextCursor
  } while (cursor)
  return { document, changes, proof }
}

// ---- lies, for the tests ------------------------------------------------------------------------------

const forge = {
  // A richer account.
  balance({ proof }) {
    const record = dagCbor.decode(unhex(proof.value))
    record.balance += 1_000_000_000
    proof.value = hex(dagCbor.encode(record))
  },
  // The right bytes, signed by somebody else.
  certificate({ proof }) {
    const bytes = unhex(proof.certificate)
    const stranger = bls12_381.utils.randomPrivateKey()
    const signed = bls.sign(bls.hash(bytes.subarray(0, 44), SIGNED), stranger)
    bytes.set(bls.Signature.toBytes(signed), bytes.length - 96)
    proof.certificate = hex(bytes)
  },
  // A change of the validators is kept back, so that those before would still count.
  validators(answers) {
    demand(answers.changes.length > 0, 'the validators never changed: there is nothing to keep back')
    answers.changes.pop()
  },
}

// ---- the command line ---------------------------------------------------------------------------------

async function main() {
  const text = { type: 'string' }
  const options = { key: text, to: text, amount: text, account: text, rpc: text, cookie: text, genesis: text, forge: text }
  const { values: said, positionals: [command, file] } = parseArgs({ options, allowPositionals: true })
  if (command === 'new') {
    const secret = randomBytes(32)
    writeFileSync(file, secret.toString('hex'), { mode: 0o600, flag: 'wx' })
    return { account: shown(ed25519.getPublicKey(secret)) }
  }
  const node = new Node(said.rpc, said.cookie)
  const genesis = id(said.genesis)
  if (command === 'send') {
    const secret = new Uint8Array(Buffer.from(readFileSync(said.key, 'utf8'), 'hex'))
    return send(node, genesis, secret, said.to, said.amount)
  }
  if (command === 'verify') {
    const answers = await gather(node, said.account)
    if (said.forge) forge[said.forge](answers)
    return believe(genesis, id(said.account), answers)
  }
  throw new Refused('say new, send or verify')
}

try {
  const result = await main()
  console.log(JSON.stringify(result, (_, value) => typeof value === 'bigint' ? value.toString() : value))
} catch (error) {
  if (!(error instanceof Refused)) throw error
  console.error('refused: ' + error.message)
  process.exitCode = 1
}
