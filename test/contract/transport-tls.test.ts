import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Listener, Transport } from '../../src/ipc/channel.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createRoutedTransport } from '../../src/ipc/routed-transport.ts'
import { parseTlsAddress, tlsAddressOf } from '../../src/ipc/tls-address.ts'
import { createTlsTransport, type TlsIdentity } from '../../src/ipc/tls-transport-adapter.ts'
import { systemScheduler } from '../../src/kernel/system-environment.ts'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'
import { Recorder } from './transport-recorder.ts'

let directory: string
let ours: Authority
let theirs: Authority

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tls-'))
  ours = new Authority(mkdtempSync(join(directory, 'ours-')))
  theirs = new Authority(mkdtempSync(join(directory, 'theirs-')), 'another authority')
})
afterAll(() => rmSync(directory, { recursive: true }))

interface Meeting {
  readonly client: Recorder
  /** The ends of the channels that the server accepted. */
  readonly servers: Recorder[]
  readonly serverLog: RecordingLog
  readonly address: string
  readonly listener: Listener
}

/** A server and a client with these certificates; `address` as the client writes it. */
async function meet(
  server: TlsIdentity,
  client: TlsIdentity,
  written: (host: string) => string = (host) => `tls://s1@${host}`,
): Promise<Meeting> {
  const host = ownAddress()
  const serverLog = new RecordingLog()
  const servers: Recorder[] = []
  const listener = await createTlsTransport({ scheduler: systemScheduler, log: serverLog }, server).listen(
    `tls://${host}`,
    (channel) => {
      const recorder = new Recorder()
      servers.push(recorder)
      return recorder.open(channel)
    },
  )
  const recorder = new Recorder()
  const address = written(host)
  createTlsTransport({ scheduler: systemScheduler, log: new RecordingLog() }, client).connect(address, recorder.open)
  onTestFinished(async () => {
    recorder.live.close()
    await listener.close()
  })
  return { client: recorder, servers, serverLog, address, listener }
}

/** As a process would be that has no certificate. */
const withCertificateOf = (identity: TlsIdentity, ca: string): TlsIdentity => ({ ...identity, ca })

describe('mutual TLS', () => {
  it('brings together two sides with certificates of one authority, and tells who is there', async () => {
    const { client, servers } = await meet(ours.identity('s1'), ours.identity('node-a'))
    client.live.send(1, Buffer.from('hello'))
    await client.until(() => client.told.includes('opened'))
    while (servers.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await servers[0]?.until(() => servers[0]?.frames.length === 1)
    expect(servers[0]?.live.peer).toContain('node-a')
  })

  it('is version 1.3 and no other', async () => {
    const host = ownAddress()
    const identity = ours.identity('s1')
    const log = new RecordingLog()
    const listener = await createTlsTransport({ scheduler: systemScheduler, log }, identity).listen(
      `tls://${host}`,
      () => new Recorder(),
    )
    const { port } = parseTlsAddress(`tls://${host}`)
    const refused = new Promise((resolve) => {
      const older = { maxVersion: 'TLSv1.2', rejectUnauthorized: false } as const
      connectTls({ ...identity, ...older, host: host.split(':')[0] ?? '', port }).on('error', resolve)
    })
    expect(String(await refused)).toMatch(/version/)
    await listener.close()
  })

  it.each([
    ['that is of another authority', () => withCertificateOf(theirs.identity('node-a'), ours.ca), /another authority/],
    ['that has expired', () => ours.identity('late', -1), /expired/],
  ])('refuses a client with a certificate %s, and both sides say why', async (_what, identity, why) => {
    const { client, servers, serverLog } = await meet(ours.identity('s1'), identity())
    client.live.send(1, Buffer.from('let me in'))
    const error = await client.untilClosed()
    expect(error).toMatchObject({ code: 'forbidden', message: expect.stringMatching(why) })
    expect(servers).toEqual([])
    expect(serverLog.lines.map(({ message }) => message).join()).toMatch(why)
  })

  it('refuses a client without a certificate, and both sides say why', async () => {
    const { client, servers, serverLog } = await meet(ours.identity('s1'), { ca: ours.ca } as TlsIdentity)
    expect(await client.untilClosed()).toMatchObject({ code: 'forbidden', message: expect.stringMatching(/has none/) })
    expect(servers).toEqual([])
    expect(serverLog.lines.map(({ message }) => message).join()).toMatch(/has none/)
  })

  it.each([
    ['that is of another authority', () => withCertificateOf(theirs.identity('s1'), ours.ca), /another authority/],
    ['that has expired', () => ours.identity('s1', -1), /expired/],
    ['of another name', () => ours.identity('s2'), /that of s2, and not of s1/],
  ])(
    'accepts no server with a certificate %s, sends it nothing, and both sides say why',
    async (_what, identity, why) => {
      const { client, servers } = await meet(identity(), ours.identity('node-a'))
      client.live.send(1, Buffer.from('a secret'))
      expect(await client.untilClosed()).toMatchObject({ code: 'forbidden', message: expect.stringMatching(why) })
      while (servers.length === 0) await new Promise((resolve) => setImmediate(resolve))
      expect(await servers[0]?.untilClosed()).toMatchObject({ code: 'forbidden', message: expect.stringMatching(why) })
      expect(servers[0]?.frames).toEqual([])
    },
  )

  it('holds the certificate against the host where the address has no name', async () => {
    const { client } = await meet(ours.identity('s1'), ours.identity('node-a'), (host) => `tls://${host}`)
    expect(await client.untilClosed()).toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/and not of 127/),
    })
  })

  it('says of a client that speaks no TLS what it is, and goes on', async () => {
    const { client, serverLog, address } = await meet(ours.identity('s1'), ours.identity('node-a'))
    await client.until(() => client.told.includes('opened'))
    const { host, port } = parseTlsAddress(address)
    const stranger = connectPlain(port, host)
    stranger.write('GET / HTTP/1.1\r\n\r\n')
    await new Promise((resolve) => stranger.resume().on('close', resolve))
    expect(serverLog.lines.map(({ message }) => message).join()).toMatch(/no TLS with a client/)
    client.live.send(1)
  })

  it('closes a listener although somebody has not finished the handshake, and somebody else has', async () => {
    const { client, address, listener } = await meet(ours.identity('s1'), ours.identity('node-a'))
    await client.until(() => client.told.includes('opened'))
    const { host, port } = parseTlsAddress(address)
    const silent = connectPlain(port, host)
    await new Promise((resolve) => silent.on('connect', resolve))
    const isOver = new Promise((resolve) => silent.resume().on('close', resolve))
    await listener.close()
    await isOver
  })

  it('says that certificates are missing, or are none', async () => {
    const environment = { scheduler: systemScheduler, log: new RecordingLog() }
    const broken = { ca: 'x', cert: 'y', key: 'z' }
    for (const identity of [null, broken]) {
      const transport: Transport = createTlsTransport(environment, identity)
      await expect(transport.listen(`tls://${ownAddress()}`, () => new Recorder())).rejects.toMatchObject({
        code: 'invalid_config',
      })
      const client = new Recorder()
      transport.connect(`tls://${ownAddress()}`, client.open)
      expect(await client.untilClosed()).toMatchObject({ code: 'invalid_config' })
    }
  })
})

describe('addresses', () => {
  it.each([
    ['tls://db1.example:7000', { host: 'db1.example', port: 7000, name: null }],
    ['tls://s%201@10.0.0.1:1', { host: '10.0.0.1', port: 1, name: 's 1' }],
    ['tls://s1@[::1]:65535', { host: '::1', port: 65_535, name: 's1' }],
  ])('%s is understood', (address, parsed) => {
    expect(parseTlsAddress(address)).toEqual(parsed)
  })

  it.each([
    'tls://',
    'tls://host',
    'tls://host:0',
    'tls://host:65536',
    'tls://a@b@c:1',
    'tls://::1:7',
    'tls://%zz@h:1',
  ])('%s is none', (address) => {
    expect(() => parseTlsAddress(address)).toThrow(expect.objectContaining({ code: 'invalid_config' }))
  })

  it('are given the name that the certificate must have', () => {
    expect(tlsAddressOf('s 1', 'tls://host:7')).toBe('tls://s%201@host:7')
  })

  it('say over what a channel goes', async () => {
    const environment = { scheduler: systemScheduler, log: new RecordingLog() }
    const identity = ours.identity('s1')
    const both = createRoutedTransport(createNodeIpcTransport(environment), createTlsTransport(environment, identity))
    const sockets = mkdtempSync(join(directory, 'sockets-'))
    for (const address of [`tls://s1@${ownAddress()}`, join(sockets, 'socket')]) {
      const listener = await both.listen(address, (channel) => new Recorder().open(channel))
      const client = new Recorder()
      both.connect(address, client.open)
      await client.until(() => client.told.includes('opened'))
      await listener.close()
    }
  })
})

describe('certificates that README.md makes', () => {
  it('are accepted for the ids that they name, and for no others', async () => {
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')
    const [, script = ''] = /```text\n(openssl req -x509[\s\S]*?)```/.exec(readme) ?? []
    const made = mkdtempSync(join(directory, 'readme-'))
    execFileSync('sh', ['-e', '-c', script], { cwd: made, stdio: 'ignore' })
    const read = (file: string): string => readFileSync(join(made, file), 'utf8')
    const host: TlsIdentity = { ca: read('ca.crt'), cert: read('host-1.crt'), key: read('host-1.key') }
    const { client } = await meet(host, host, (at) => `tls://s1-1@${at}`)
    await client.until(() => client.told.includes('opened'))
    const other = await meet(host, host, (at) => `tls://s2-1@${at}`)
    expect(await other.client.untilClosed()).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('and not of s2-1'),
    })
  })
})
