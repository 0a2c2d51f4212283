import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { systemClock, systemRandom, wakefulScheduler } from '../../src/kernel/system-environment.ts'
import { type EtcdTls, HttpEtcdGateway } from '../../src/replication/etcd-gateway-adapter.ts'
import { type EtcdMetadataOptions, EtcdMetadataStore } from '../../src/replication/etcd-metadata-store.ts'

/** Why no etcd can be started here, or null. */
export function etcdRefusal(): string | null {
  try {
    execFileSync('etcd', ['--version'], { stdio: 'ignore' })
    return null
  } catch (error) {
    return `there is no etcd to start (${(error as NodeJS.ErrnoException).code}): install etcd-server`
  }
}

export interface EtcdCertificates {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** A test that waits for an answer waits however slow the host is. */
const busyHost = { attemptMs: 10_000, patienceMs: 20_000 }

/** Only where its start failed for want of the port that was free a moment ago. */
const startsMax = 5

/** A real cluster of etcd in a temporary directory, on ports that were free. */
export class EtcdWorld {
  readonly directory: string
  readonly #members: Member[] = []
  readonly #stores: EtcdMetadataStore[] = []
  readonly #scheme: string
  readonly #certificates: EtcdCertificates | null

  static async start(size: number, certificates: EtcdCertificates | null = null): Promise<EtcdWorld> {
    for (let start = 1; ; start++) {
      const world = new EtcdWorld(certificates)
      try {
        await world.#startAll(size)
        return world
      } catch (error) {
        await world.stop()
        if (start === startsMax || !String(error).includes('address already in use')) throw error
      }
    }
  }

  private constructor(certificates: EtcdCertificates | null) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-etcd-'))
    this.#certificates = certificates
    this.#scheme = certificates === null ? 'http' : 'https'
  }

  /** `host:port` of each member. */
  get endpoints(): readonly string[] {
    return this.#members.map(({ port }) => `127.0.0.1:${port}`)
  }

  open(options: Partial<EtcdMetadataOptions> & { members?: readonly string[]; tls?: EtcdTls } = {}): EtcdMetadataStore {
    const { members = this.endpoints, tls = null, ...rest } = options
    const store = new EtcdMetadataStore({
      gateway: new HttpEtcdGateway(members, tls),
      folder: 'test/',
      location: `etcd://${members.join()}`,
      clock: systemClock,
      scheduler: wakefulScheduler,
      random: systemRandom,
      ...busyHost,
      ...rest,
    })
    this.#stores.push(store)
    return store
  }

  signal(member: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#members[member]?.child?.kill(signal)
  }

  async kill(member: number): Promise<void> {
    await this.#members[member]?.kill()
  }

  /** After it was killed, on its data. */
  restart(member: number): Promise<void> {
    return (this.#members[member] as Member).start()
  }

  /** Asks one member in plain text, past the code under test. */
  async ask(member: number, path: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(`http://${this.endpoints[member]}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    return (await response.json()) as Record<string, unknown>
  }

  /** The member that leads among themselves. */
  async leader(): Promise<number> {
    for (let member = 0; ; member = (member + 1) % this.#members.length) {
      const answer = await this.ask(member, '/v3/maintenance/status', {}).catch(() => null)
      const { header, leader } = (answer ?? {}) as { header?: { member_id: string }; leader?: string }
      if (header !== undefined && leader === header.member_id) return member
    }
  }

  async stop(): Promise<void> {
    for (const store of this.#stores) await store.close()
    for (const member of this.#members) await member.kill()
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  async #startAll(size: number): Promise<void> {
    const ports = await freePorts(size * 2)
    const peers = Array.from({ length: size }, (_, n) => `m${n}=http://127.0.0.1:${ports[2 * n + 1]}`)
    for (const [n, peer] of peers.entries()) {
      const [name = '', peerUrl = ''] = peer.split('=')
      const port = ports[2 * n] as number
      const clientUrl = `${this.#scheme}://127.0.0.1:${port}`
      const args = [
        ['--name', name, '--data-dir', path.join(this.directory, name), '--initial-cluster', peers.join()],
        ['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
        ['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ['--heartbeat-interval', '50', '--election-timeout', '500', '--logger', 'zap', '--log-outputs', 'stderr'],
        this.#secure(),
      ]
      this.#members.push(new Member(port, args.flat()))
    }
    await Promise.all(this.#members.map((member) => member.start()))
  }

  #secure(): string[] {
    if (this.#certificates === null) return []
    const { ca, cert, key } = this.#certificates
    return ['--client-cert-auth', '--trusted-ca-file', ca, '--cert-file', cert, '--key-file', key]
  }
}

class Member {
  readonly port: number
  readonly #args: readonly string[]
  child: ChildProcess | null = null

  constructor(port: number, args: readonly string[]) {
    this.port = port
    this.#args = args
  }

  /** Resolves when it serves its clients. */
  async start(): Promise<void> {
    const child = spawn('etcd', this.#args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child = child
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-100_000)
        if (said.includes('client traffic')) resolve()
      })
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`etcd ended: ${said}`)))
    })
  }

  async kill(): Promise<void> {
    const { child } = this
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer())
  const ports = servers.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as net.AddressInfo).port
  })
  const all = await Promise.all(ports)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return all
}
