// wscat, the program: what a person types into it, and what it shows.
//   node with_wscat.mjs HOME

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { NOBODY, first, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const { ws, headers } = node(process.argv[2])
const program = createRequire(import.meta.url).resolve('wscat/bin/wscat')
const typed = (id, method, params) => ['-x', JSON.stringify({ jsonrpc: '2.0', id, method, params })]

// It stays connected until its input ends.
const wscat = spawn(process.execPath, [
  program, '--connect', ws, '--header', `Authorization: ${headers.Authorization}`, '--wait', '-1',
  ...typed(1, 'node_info'),
  ...typed(2, 'chain_head', []),
  ...typed(3, 'ledger_getAccount', { account: NOBODY }),
  ...typed(4, 'chain_subscribe'),
], { stdio: ['pipe', 'pipe', 2] })
const shown = new Map()
await seen('wscat', 'answers, an error and a block', async () => {
  await first('answers and a block', (tell) => {
    createInterface(wscat.stdout).on('line', (line) => {
      const message = JSON.parse(line)
      shown.set(message.id ?? message.method, message)
      if (shown.size === 5) tell()
    })
    wscat.on('exit', (code) => { throw new Error(`wscat ended with ${code}`) })
  })
  isInfo(shown.get(1).result)
  isHead(shown.get(2).result)
  isUnknownAccount(shown.get(3).error)
  const { params } = shown.get('chain_subscription')
  assert.equal(params.subscription, shown.get(4).result)
  isBlock(params.result)
})
wscat.removeAllListeners('exit')
const [code] = await (wscat.stdin.end(), once(wscat, 'exit'))
assert.equal(code, 0)
