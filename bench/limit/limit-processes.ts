import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { measuredEnvironment } from '../compile-cache.ts'
import type { ProcessName } from '../load.ts'

interface NamedChild {
  readonly name: string
  readonly child: ChildProcess
}

export const limitClient: string = join(import.meta.dirname, 'client.ts')

/** The processes of the bare pipeline, without its client. */
export class LimitProcesses {
  readonly dataDir: string
  readonly #children: readonly NamedChild[]

  private constructor(dataDir: string, children: readonly NamedChild[]) {
    this.dataDir = dataDir
    this.#children = children
  }

  /** In a directory that is not there yet. */
  static async start(dataDir: string): Promise<LimitProcesses> {
    mkdirSync(dataDir)
    const children: NamedChild[] = []
    const limit = new LimitProcesses(dataDir, children)
    try {
      for (const name of ['writer', 'dispatcher', 'application', 'applier']) {
        const child = fork(join(import.meta.dirname, `${name}.ts`), [dataDir], { env: measuredEnvironment() })
        children.push({ name, child })
        const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
        if (message !== 'ready') throw new Error(`the limit's ${name} ended with ${message} before it was ready`)
      }
      return limit
    } catch (error) {
      await limit.stop()
      throw error
    }
  }

  processes(): readonly ProcessName[] {
    return this.#children.map(({ name, child }) => ({ name, pid: child.pid as number }))
  }

  /** They hold nothing worth keeping. */
  async stop(): Promise<void> {
    const running = this.#children.filter(({ child }) => child.exitCode === null && child.signalCode === null)
    const exits = running.map(({ child }) => once(child, 'exit'))
    for (const { child } of running) child.kill('SIGKILL')
    await Promise.all(exits)
  }

  remove(): void {
    rmSync(this.dataDir, { recursive: true, force: true })
  }
}
