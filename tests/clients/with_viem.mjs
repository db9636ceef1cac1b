// viem: its HTTP transport, batching, its WebSocket transport, and a transport of one's own.
//   node with_viem.mjs HOME

import assert from 'node:assert/strict'
import { RpcRequestError, createClient, custom, http, webSocket } from 'viem'
import { NOBODY, failure, first, isBalance, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const at = node(process.argv[2])
// From Node 22 on viem takes Node's own WebSocket, which shows nobody a password; without that, it takes ws.
delete globalThis.WebSocket

// Whatever else it is wrapped in, viem keeps the answer's error.
const refusal = async (promise) => {
  const error = await failure(promise)
  const found = error.walk((cause) => cause instanceof RpcRequestError)
  assert.ok(found instanceof RpcRequestError)
  return { code: found.code, message: found.details, data: found.data }
}

async function calls(name, client) {
  const see = (what, act) => seen(`viem, ${name}`, what, act)
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
  return info.account
}

const fetchOptions = { headers: at.headers }
await calls('HTTP', createClient({ transport: http(at.http, { fetchOptions }) }))

const batching = createClient({ transport: http(at.http, { batch: true, fetchOptions }) })
const account = await calls('HTTP in batches', batching)
await seen('viem, HTTP in batches', 'three calls in one request', async () => {
  const [head, none, balance] = await Promise.all([
    batching.request({ method: 'chain_head' }),
    refusal(batching.request({ method: 'ledger_getAccount', params: [NOBODY] })),
    batching.request({ method: 'ledger_getBalance', params: [account] }),
  ])
  isHead(head)
  isUnknownAccount(none)
  isBalance(balance, account)
})

const own = custom({
  async request({ method, params }) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const headers = { ...at.headers, 'Content-Type': 'application/json' }
    const { error, result } = await (await fetch(at.http, { method: 'POST', headers, body })).json()
    if (error) throw new RpcRequestError({ body: { method, params }, error, url: at.http })
    return result
  },
})
await calls('a transport of one\'s own', createClient({ transport: own }))

const live = createClient({ transport: webSocket(at.wsWithPassword, { keepAlive: false, reconnect: false }) })
await calls('WebSocket', live)
await seen('viem, WebSocket', 'a subscription: a block comes, and it ends', async () => {
  // viem follows `eth_subscribe` only: the notices of others are read off its socket.
  const { socket } = await live.transport.getRpcClient()
  const notice = await first('a block', async (tell) => {
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(data)
      if (message.method === 'chain_subscription') tell(message.params)
    })
    assert.notEqual(await live.request({ method: 'chain_subscribe' }), undefined)
  })
  isBlock(notice.result)
  assert.equal(await live.request({ method: 'chain_unsubscribe', params: [notice.subscription] }), true)
})
;(await live.transport.getRpcClient()).close()
