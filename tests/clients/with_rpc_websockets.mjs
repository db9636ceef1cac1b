// rpc-websockets: calls, and notices as events.
//   node with_rpc_websockets.mjs HOME

import assert from 'node:assert/strict'
import { Client } from 'rpc-websockets'
import { NOBODY, failure, first, isBalance, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const { ws, headers } = node(process.argv[2])
const see = (what, act) => seen('rpc-websockets', what, act)

const client = new Client(ws, { headers, reconnect: false })
await see('it connects', () => first('it connects', (tell) => {
  client.on('open', () => tell())
  client.on('error', (error) => { throw error })
}))
const info = await see('node_info', async () => {
  const info = await client.call('node_info')
  isInfo(info)
  return info
})
await see('chain_head', async () => isHead(await client.call('chain_head', [])))
await see('parameters by name', async () => {
  isBalance(await client.call('ledger_getBalance', { account: info.account }), info.account)
})
await see('parameters by position', async () => {
  isBalance(await client.call('ledger_getBalance', [info.account]), info.account)
})
await see('an error', async () => {
  isUnknownAccount(await failure(client.call('ledger_getAccount', { account: NOBODY })))
})
await see('a subscription: a block comes, and it ends', async () => {
  const notice = await first('a block', async (tell) => {
    client.on('chain_subscription', tell)
    assert.notEqual(await client.call('chain_subscribe'), undefined)
  })
  isBlock(notice.result)
  assert.equal(await client.call('chain_unsubscribe', [notice.subscription]), true)
})
client.close()
