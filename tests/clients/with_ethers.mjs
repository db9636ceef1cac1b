// ethers: a provider with a network of its own; it gathers calls made at once into a batch.
//   node with_ethers.mjs HOME

import assert from 'node:assert/strict'
import { FetchRequest, JsonRpcProvider, Network, WebSocketProvider } from 'ethers'
import { NOBODY, failure, isBalance, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const at = node(process.argv[2])
// Not asked of the node, which is no Ethereum's.
const staticNetwork = new Network('larder', 0)

const refusal = async (promise) => {
  const error = await failure(promise)
  assert.equal(error.code, 'UNKNOWN_ERROR')
  return error.error
}

async function calls(name, provider) {
  const see = (what, act) => seen(`ethers, ${name}`, what, act)
  const info = await see('node_info', async () => {
    const info = await provider.send('node_info', [])
    isInfo(info)
    return info
  })
  await see('parameters by name', async () => {
    isBalance(await provider.send('ledger_getBalance', { account: info.account }), info.account)
  })
  await see('parameters by position', async () => {
    isBalance(await provider.send('ledger_getBalance', [info.account]), info.account)
  })
  await see('an error', async () => {
    isUnknownAccount(await refusal(provider.send('ledger_getAccount', [NOBODY])))
  })
  await see('three calls at once', async () => {
    const [head, none, balance] = await Promise.all([
      provider.send('chain_head', []),
      refusal(provider.send('ledger_getAccount', [NOBODY])),
      provider.send('ledger_getBalance', [info.account]),
    ])
    isHead(head)
    isUnknownAccount(none)
    isBalance(balance, info.account)
  })
  await provider.destroy()
}

const request = new FetchRequest(at.http)
request.setHeader('Authorization', at.headers.Authorization)
await calls('HTTP', new JsonRpcProvider(request, staticNetwork, { staticNetwork }))
await calls('WebSocket', new WebSocketProvider(at.wsWithPassword, staticNetwork, { staticNetwork }))
