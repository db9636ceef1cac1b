// @open-rpc/client-js: HTTP and WebSocket, batches, notices.
//   node with_open_rpc_client.mjs HOME

import assert from 'node:assert/strict'
import { Client, HTTPTransport, JSONRPCError, RequestManager, WebSocketTransport } from '@open-rpc/client-js'
import { NOBODY, failure, first, isBalance, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const at = node(process.argv[2])

const refusal = async (promise) => {
  const error = await failure(promise)
  assert.ok(error instanceof JSONRPCError)
  return error
}

async function calls(name, client) {
  const see = (what, act) => seen(`@open-rpc/client-js, ${name}`, what, act)
  const info = await see('node_info', async () => {
    const info = await client.request({ method: 'node_info' })
    isInfo(info)
    return info
  })
  await see('chain_head', async () => isHead(await client.request({ method: 'chain_head', params: [] })))
  await see('parameters by name', async () => {
    const params = { account: info.account }
    isBalance(await client.request({ method: 'ledger_getBalance', params }), info.account)
  })
  await see('parameters by position', async () => {
    isBalance(await client.request({ method: 'ledger_getBalance', params: [info.account] }), info.account)
  })
  await see('an error', async () => {
    isUnknownAccount(await refusal(client.request({ method: 'ledger_getAccount', params: [NOBODY] })))
  })
  await see('a batch', async () => {
    client.startBatch()
    const answers = [
      client.request({ method: 'chain_head' }),
      refusal(client.request({ method: 'ledger_getAccount', params: [NOBODY] })),
      client.request({ method: 'ledger_getBalance', params: [info.account] }),
    ]
    // `request` puts a call into the batch once it has seen that the transport is connected.
    await client.requestManager.connectPromise
    client.stopBatch()
    const [head, none, balance] = await Promise.all(answers)
    isHead(head)
    isUnknownAccount(none)
    isBalance(balance, info.account)
  })
}

const { headers } = at
await calls('HTTP', new Client(new RequestManager([new HTTPTransport(at.http, { headers })])))

const live = new Client(new RequestManager([new WebSocketTransport(at.wsWithPassword)]))
await calls('WebSocket', live)
await seen('@open-rpc/client-js, WebSocket', 'a subscription: a block comes, and it ends', async () => {
  const notice = await first('a block', async (tell) => {
    live.onNotification(({ method, params }) => {
      if (method === 'chain_subscription') tell(params)
    })
    assert.notEqual(await live.request({ method: 'chain_subscribe' }), undefined)
  })
  isBlock(notice.result)
  assert.equal(await live.request({ method: 'chain_unsubscribe', params: [notice.subscription] }), true)
})
live.close()
