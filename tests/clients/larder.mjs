// What the programs in this folder share: where the node is, what they expect of it, and how they say so.
// A program is given the node's home. It prints a line of JSON for each thing that it has seen; the first that
// is not as it should be ends it with exit code 1 and the reason on stderr.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// How long a block may take.
const BLOCK_MS = 60_000
// An account that nobody has: 32 zeros in multibase.
export const NOBODY = 'z' + '1'.repeat(32)

// Where the node of `home` listens, and what opens it. Libraries that take nothing but an address get the
// cookie as the password in it.
export function node(home) {
  const { address } = JSON.parse(readFileSync(join(home, 'rpc.json'), 'utf8'))
  const cookie = readFileSync(join(home, 'cookie'), 'utf8').trim()
  const [host, port] = address.split(':')
  return {
    host,
    port: Number(port),
    cookie,
    headers: { Authorization: `Bearer ${cookie}` },
    http: `http://${address}/rpc`,
    ws: `ws://${address}/rpc`,
    wsWithPassword: `ws://larder:${cookie}@${address}/rpc`,
  }
}

// Runs `act`, says that `client` has seen `what`, and gives what `act` gave.
export async function seen(client, what, act) {
  try {
    const found = await act()
    console.log(JSON.stringify({ client, seen: what }))
    return found
  } catch (error) {
    console.error(`${client}: ${what}: ${error?.stack ?? JSON.stringify(error)}`)
    process.exit(1)
  }
}

export function isInfo(info) {
  assert.equal(info.profile, 'dev')
  assert.match(info.account, /^z\w{40,}$/)
  assert.ok(info.roles.every((role) => ['keeper', 'provider', 'validator'].includes(role)))
}

export function isHead(head) {
  assert.ok(Number.isInteger(head.height) && head.height >= 0)
  assert.match(head.hash, /^\w{40,}$/)
  assert.ok(!Number.isNaN(Date.parse(head.time)))
}

export function isBalance(balance, account) {
  assert.equal(balance.account, account)
  assert.match(balance.available, /^[0-9]+$/)
  assert.ok(Number.isInteger(balance.asOf.height))
}

// The error object of an account that nobody has: code and data of the table in docs.
export function isUnknownAccount(error) {
  assert.equal(error.code, 1000)
  assert.equal(typeof error.message, 'string')
  assert.deepEqual(error.data, { reason: 'not_on_ledger', retryable: false })
}

export function isBlock(block) {
  assert.ok(Number.isInteger(block.height) && block.height > 0)
  assert.match(block.hash, /^\w{40,}$/)
  assert.ok(Number.isInteger(block.transactions))
}

// The error that `promise` ends with.
export async function failure(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it was answered, where an error was due')
}

// The first that `listen` hands to its callback; `listen` may be async.
export async function first(what, listen) {
  let timer
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`not within ${BLOCK_MS} ms: ${what}`)), BLOCK_MS)
  })
  const came = new Promise((tell, refuse) => Promise.resolve(listen(tell)).catch(refuse))
  return Promise.race([came, late]).finally(() => clearTimeout(timer))
}
