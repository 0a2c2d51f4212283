import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryTransport } from '../../src/ipc/memory-transport.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createTlsTransport } from '../../src/ipc/tls-transport-adapter.ts'
import { silentLog } from '../../src/kernel/environment.ts'
import { systemScheduler } from '../../src/kernel/system-environment.ts'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { describeTransport } from './transport-contract.ts'

/** Now and then a later delivery is due before an earlier one. */
let delays = 0
const unevenDelayMs = (): number => [0, 3, 1, 0, 2][delays++ % 5] as number

describeTransport('node-ipc', (bounds) => {
  const directory = mkdtempSync(join(tmpdir(), 'ipc-'))
  return {
    transport: (environment) => createNodeIpcTransport(environment, bounds),
    address: (name) => join(directory, name),
    dispose: () => rmSync(directory, { recursive: true }),
  }
})

describeTransport('TLS', (bounds) => {
  const directory = mkdtempSync(join(tmpdir(), 'tls-'))
  const authority = new Authority(directory)
  const identity = authority.identity('s1')
  const addresses = new Map<string, string>()
  return {
    transport: (environment) => createTlsTransport(environment, identity, bounds),
    address: (name) => {
      const address = addresses.get(name) ?? `tls://s1@${ownAddress()}`
      addresses.set(name, address)
      return address
    },
    dispose: () => rmSync(directory, { recursive: true }),
  }
})

for (const [name, options] of [
  ['memory', {}],
  ['copying and slow memory', { copyBytes: true, delayMs: unevenDelayMs }],
] as const)
  describeTransport(name, (bounds) => {
    const network = createMemoryTransport({ scheduler: systemScheduler, log: silentLog }, { ...bounds, ...options })
    return {
      transport: (environment) => network.endpoint(environment),
      address: (address) => address,
      dispose: () => {},
    }
  })
