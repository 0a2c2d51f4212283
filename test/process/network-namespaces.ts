import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** A MAC address that nobody has: what is sent there is delivered to nobody, and the sender is told nothing. */
const nobody = '02:00:00:00:00:ff'
const subnet = '10.213.0'
let worlds = 0

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Why there can be no network of our own here, or null. */
export function namespaceRefusal(): string | null {
  try {
    new NetworkNamespaces(['a', 'b']).remove()
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return 'there is no ip or nsenter to make network namespaces with: install iproute2'
    return `network namespaces cannot be made: ${message.split('\n').at(-1) || message}`
  }
}

/**
 * Hosts, each a network namespace with an address of its own, joined by a bridge that is in a namespace as well, so that nothing of
 * the machine's own network is touched. What one host sends to another can be dropped, while the other direction works.
 */
export class NetworkNamespaces {
  readonly #prefix = `cdb-${process.pid}-${++worlds}`
  readonly #names: readonly string[]
  readonly #dropped = new Set<string>()

  constructor(names: readonly string[]) {
    this.#names = names
    try {
      this.#make()
    } catch (error) {
      this.remove()
      throw error
    }
  }

  addressOf(name: string): string {
    return `${subnet}.${this.#names.indexOf(name) + 1}`
  }

  /** What starts a program on that host: goes before the program and its arguments. The process has the same pid. */
  within(name: string): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.#namespaceOf(name)}`, '--']
  }

  /** From now on nothing that `from` sends to `to` arrives; nobody is told. */
  drop(from: string, to: string): void {
    const neighbour = [this.addressOf(to), 'lladdr', nobody, 'dev', 'eth0', 'nud', 'permanent']
    run('ip', '-n', this.#namespaceOf(from), 'neigh', 'replace', ...neighbour)
    this.#dropped.add(`${from} ${to}`)
  }

  /** It can send, and hears nobody. */
  deafen(name: string): void {
    for (const other of this.#others(name)) this.drop(other, name)
  }

  /** It hears, and nobody hears it. */
  silence(name: string): void {
    for (const other of this.#others(name)) this.drop(name, other)
  }

  heal(): void {
    for (const pair of this.#dropped) {
      const [from = '', to = ''] = pair.split(' ')
      run('ip', '-n', this.#namespaceOf(from), 'neigh', 'del', this.addressOf(to), 'dev', 'eth0')
    }
    this.#dropped.clear()
  }

  /**
   * All that a host sends takes so much longer.
   * @returns why that cannot be, or null
   */
  delay(name: string, ms: number): string | null {
    try {
      run('tc', '-n', this.#namespaceOf(name), 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', 'delay', `${ms}ms`)
      return null
    } catch (error) {
      const { stderr } = error as { stderr?: Buffer }
      return `this kernel delays no packets (tc netem): ${stderr?.toString().trim() ?? String(error)}`
    }
  }

  /** All processes in them must have ended. */
  remove(): void {
    for (const name of [...this.#names, hub]) {
      if (existsSync(`/run/netns/${this.#namespaceOf(name)}`)) run('ip', 'netns', 'del', this.#namespaceOf(name))
    }
  }

  #make(): void {
    const bridge = this.#namespaceOf(hub)
    run('ip', 'netns', 'add', bridge)
    run('ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge')
    run('ip', '-n', bridge, 'link', 'set', 'br0', 'up')
    for (const name of this.#names) {
      const host = this.#namespaceOf(name)
      run('ip', 'netns', 'add', host)
      run('ip', '-n', host, 'link', 'set', 'lo', 'up')
      run('ip', '-n', host, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `to-${name}`, 'netns', bridge)
      run('ip', '-n', host, 'addr', 'add', `${this.addressOf(name)}/24`, 'dev', 'eth0')
      run('ip', '-n', host, 'link', 'set', 'eth0', 'up')
      run('ip', '-n', bridge, 'link', 'set', `to-${name}`, 'master', 'br0', 'up')
    }
  }

  #others(name: string): readonly string[] {
    return this.#names.filter((other) => other !== name)
  }

  #namespaceOf(name: string): string {
    return `${this.#prefix}-${name}`
  }
}

const hub = 'hub'
