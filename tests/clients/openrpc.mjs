// The OpenRPC document: the node answers the one that is committed, it validates, all of its references lead
// somewhere, and @open-rpc/generator makes a client from it that compiles and works.
//   node openrpc.mjs HOME DOCUMENT FOLDER
// The client is made in FOLDER, from where the packages must be found.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import generator from '@open-rpc/generator'
import { dereferenceDocument, validateOpenRPCDocument } from '@open-rpc/schema-utils-js'
import { NOBODY, failure, first, isBalance, isBlock, isHead, isInfo, isUnknownAccount, node, seen } from './larder.mjs'

const [home, committed, folder] = process.argv.slice(2)
const at = node(home)
const require = createRequire(import.meta.url)

async function answered() {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'rpc.discover' })
  const headers = { ...at.headers, 'Content-Type': 'application/json' }
  const { error, result } = await (await fetch(at.http, { method: 'POST', headers, body })).json()
  assert.equal(error, undefined)
  return result
}

function isValid(document) {
  // It gives an error where others throw it.
  const found = validateOpenRPCDocument(structuredClone(document))
  if (found !== true) throw found
}

const document = JSON.parse(readFileSync(committed, 'utf8'))
await seen('@open-rpc/schema-utils-js', 'the node answers the committed document', async () => {
  assert.deepEqual(await answered(), document)
})
await seen('@open-rpc/schema-utils-js', 'it is valid', () => isValid(document))
await seen('@open-rpc/schema-utils-js', 'it is valid with all references followed', async () => {
  const followed = await dereferenceDocument(structuredClone(document))
  assert.equal(followed.methods.length, document.methods.length)
  // Tools leave extensions alone.
  const text = JSON.stringify(followed.methods, (key, value) => (key.startsWith('x-') ? undefined : value))
  assert.ok(!text.includes('"$ref"'))
  isValid(followed)
})

await seen('@open-rpc/generator', 'it makes a client that compiles', async () => {
  const components = [{ type: 'client', language: 'typescript', name: 'larder-client' }]
  await quietly(() => generator.default({ openrpcDocument: document, outDir: folder, components }))
  // Compiled by our compiler, as a module: the versions that the generator writes down for it are of 2021, and no
  // longer agree with what they depend on.
  const made = join(folder, 'client', 'typescript')
  writeFileSync(join(made, 'package.json'), '{ "type": "module" }')
  const compiler = require.resolve('typescript/bin/tsc')
  const how = '--strict --esModuleInterop --skipLibCheck --target es2022 --module nodenext --outDir build'
  const sources = [join('src', 'index.ts')]
  execFileSync(process.execPath, [compiler, ...how.split(' '), ...sources], { cwd: made, stdio: ['ignore', 2, 2] })
})

// The generator tells of each type that is a list, which is good JSON Schema.
async function quietly(act) {
  const { error, warn } = console
  console.error = console.warn = () => {}
  try {
    return await act()
  } finally {
    Object.assign(console, { error, warn })
  }
}

const see = (what, act) => seen('the generated client', what, act)
const { Larder } = await import(pathToFileURL(join(folder, 'client', 'typescript', 'build', 'index.js')))
// It has no place for headers: the cookie is the password of the address.
const larder = new Larder({
  transport: { type: 'websocket', host: `larder:${at.cookie}@${at.host}`, port: at.port, path: '/rpc' },
})
const info = await see('node_info', async () => {
  const info = await larder.node_info()
  isInfo(info)
  return info
})
await see('chain_head', async () => isHead(await larder.chain_head()))
await see('ledger_getBalance', async () => {
  // `at` is not left out: the client's own check takes a list's method of that name for it.
  isBalance(await larder.ledger_getBalance(info.account, 'latest'), info.account)
})
await see('several parameters, by position', async () => {
  const page = await larder.wallet_listTransactions(undefined, 1)
  assert.ok(page.items.length <= 1)
  // To whom, and how much: in the document's order.
  const { methods } = document
  const names = methods.find(({ name }) => name === 'tx_build').params.map(({ name }) => name)
  const unsigned = await larder.tx_build(...names.map((name) => ({ to: info.account, amount: '1' })[name]))
  assert.ok(unsigned)
})
await see('an error', async () => isUnknownAccount(await failure(larder.ledger_getAccount(NOBODY, null))))
await see('a parameter of another type is refused by the client', async () => {
  const [refused] = await failure(larder.ledger_getAccount(5, null))
  assert.equal(refused.name, 'ParameterValidationError')
})
await see('a subscription: a block comes, and it ends', async () => {
  const notice = await first('a block', async (tell) => {
    larder.onNotification(({ method, params }) => {
      if (method === 'chain_subscription') tell(params)
    })
    assert.notEqual(await larder.chain_subscribe(), undefined)
  })
  isBlock(notice.result)
  assert.equal(await larder.chain_unsubscribe(notice.subscription), true)
})
larder.rpc.close()
