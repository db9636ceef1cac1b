// jayson: HTTP by name, by position and in a batch; WebSocket, whose notices its user reads off the socket.
//   node with_jayson.mjs HOME

import assert from 'node:assert/strict'
import { once } from 'node:events'
import jayson from 'jayson/promise/index.js'
import { NOBODY, first, isBalance, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const { host, port, headers, wsWithPassword } = node(process.argv[2])
const over = (client, name) => (what, act) => seen(`jayson over ${name}`, what, () => act(client))

const result = async (request) => {
  const answer = await request
  assert.equal(answer.error, undefined)
  return answer.result
}

async function calls(see) {
  const info = await see('node_info', async (client) => {
    const info = await result(client.request('node_info', []))
    isInfo(info)
    return info
  })
  await see('chain_head', async (client) => isHead(await result(client.request('chain_head', {}))))
  await see('parameters by name', async (client) => {
    const params = { account: info.account }
    isBalance(await result(client.request('ledger_getBalance', params)), info.account)
  })
  await see('parameters by position', async (client) => {
    isBalance(await result(client.request('ledger_getBalance', [info.account])), info.account)
  })
  await see('an error', async (client) => {
    const { error } = await client.request('ledger_getAccount', { account: NOBODY })
    isUnknownAccount(error)
  })
  await see('a batch', async (client) => {
    const batch = [
      client.request('chain_head', [], undefined, false),
      client.request('ledger_getAccount', [NOBODY], undefined, false),
      client.request('ledger_getBalance', [info.account], undefined, false),
    ]
    const answers = await client.request(batch)
    // Answers of a batch come in any order; they are told apart by their ids.
    const [head, none, balance] = batch.map(({ id }) => answers.find((answer) => answer.id === id))
    isHead(head.result)
    isUnknownAccount(none.error)
    isBalance(balance.result, info.account)
  })
}

await calls(over(jayson.client.http({ host, port, path: '/rpc', headers }), 'HTTP'))

const client = jayson.client.websocket({ url: wsWithPassword })
await once(client.ws, 'open')
const see = over(client, 'WebSocket')
await calls(see)
await see('a subscription: a block comes, and it ends', async () => {
  const notice = await first('a block', async (tell) => {
    client.ws.on('message', (text) => {
      const message = JSON.parse(text)
      if (message.method === 'chain_subscription') tell(message.params)
    })
    const id = await result(client.request('chain_subscribe', []))
    assert.notEqual(id, undefined)
  })
  isBlock(notice.result)
  assert.equal(await result(client.request('chain_unsubscribe', [notice.subscription])), true)
})
client.ws.close()
