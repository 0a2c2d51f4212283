import { existsSync, mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { bank, CommandLine, type Result } from './command-line.ts'

let cli: CommandLine
let others: Server[]
beforeEach(() => {
  cli = new CommandLine()
  others = []
})
afterEach(async () => {
  for (const server of others) server.close()
  await cli.remove()
})

function expectRefusal(result: Result, ...parts: readonly (string | RegExp)[]): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result).toMatchObject({ exitCode: 2, stdout: '' })
  // No process was started, and nothing was made.
  expect(existsSync(cli.dataDir)).toBe(false)
}

const start = (...args: readonly string[]): Promise<Result> => {
  const cluster = ['--journal', 'replicated', '--node-id', 'n', '--metadata', 'file:metadata']
  return cli.run('start', '--data-dir', 'data', '--no-http', ...cluster, ...args)
}

/** Somebody else's. */
async function listenAt(address: string): Promise<void> {
  const [host, port] = address.split(':')
  const server = createServer()
  others.push(server)
  await new Promise<void>((resolve) => server.listen({ host, port: Number(port) }, resolve))
}

function tlsFlags(): readonly string[] {
  const directory = join(cli.directory, 'certificates')
  mkdirSync(directory)
  const { ca, cert, key } = new Authority(directory).files('n')
  return ['--replication-tls-ca', ca, '--replication-tls-cert', cert, '--replication-tls-key', key]
}

describe('replication.listen in use', () => {
  it('is refused before a node starts', async () => {
    const address = ownAddress()
    await listenAt(address)
    const result = await start('--app', bank, '--replication-listen', address, ...tlsFlags())
    expectRefusal(result, `${address}, where this node is to listen`, 'is in use by another process', 'choose another')
  })

  it('behind its port is refused before the journal servers of a host start, which do not use the port itself', async () => {
    const [address, first, second] = [ownAddress(), ownAddress(), ownAddress()]
    await listenAt(address)
    await listenAt(second)
    const servers = ['--journal-servers', '2', '--journal-servers-only', 'true']
    const result = await start(...servers, '--replication-listen', address, ...tlsFlags())
    expectRefusal(result, `${second}, where its journal server n-2 is to listen`, address, 'is in use')
    expect(result.stderr).not.toContain(first)
  })

  it('counts for nothing where nothing of it is used: without TLS all listen at sockets', async () => {
    const address = ownAddress()
    await listenAt(address)
    const dev = ['--replication-dev', 'true', '--journal-servers', '3', '--replication-listen', address]
    const command = cli.spawn([
      ...['start', '--data-dir', 'data', '--no-http', '--app', bank, '--journal', 'replicated'],
      ...['--node-id', 'n', '--metadata', 'file:metadata', ...dev],
    ])
    expect(await command.line(/^ready .*$/m)).toContain(cli.dataDir)
  })
})

describe('a host of journal servers alone', () => {
  it('misses no application, and no port of HTTP', async () => {
    const address = ownAddress()
    await listenAt(address)
    const [host = '', port = ''] = address.split(':')
    const command = cli.spawn([
      ...['start', '--data-dir', 'data', '--journal', 'replicated', '--node-id', 'n', '--metadata', 'file:metadata'],
      ...['--journal-servers', '1', '--journal-servers-only', 'true', '--http-host', host, '--http-port', port],
    ])
    expect(await command.line(/^ready .*$/m)).toMatch(/^ready pid=\d+ dataDir=/)
    expect(command.stderr).toBe('')
  })
})
