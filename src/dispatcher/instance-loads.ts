import type { Lsn } from '../kernel/identifiers.ts'
import { dispatcherName, type PendingCommand } from '../state/commands.ts'

/** Per application instance: what waits to be started there, and what is. */
export class InstanceLoad {
  readonly instance: string
  started = 0
  #drafted = 0
  /** A command that was under way when the process crashed: it runs alone, so that a second crash names the culprit. */
  probing = false
  /** Nothing more is started there, but what others wait for that are. */
  isHeld = false
  /** When it last ended a command, or was given one while it had none. */
  lastProgressMs = 0
  #ready: PendingCommand[] = []
  #head = 0

  constructor(instance: string) {
    this.instance = instance
  }

  get waiting(): number {
    return this.#ready.length - this.#head
  }

  /** What it has, or is about to get: started, and in drafts that have not come back yet. */
  get given(): number {
    return this.started + this.#drafted
  }

  /** A draft has become an entry. It may be one from before everything here was begun anew. */
  cameBack(commands: number): void {
    this.#drafted = Math.max(0, this.#drafted - commands)
  }

  push(command: PendingCommand): void {
    if (!this.isAwaited(command)) this.#ready.push(command)
    else if (this.#head > 0) this.#ready[--this.#head] = command
    else this.#ready.unshift(command)
  }

  /**
   * It failed, and commands behind it on its aggregate are started here. They may take all the room that there is, and none
   * of them ends without it: it goes before all others, whether there is room or not.
   */
  isAwaited(command: PendingCommand): boolean {
    const [first, next] = command.queue.commands
    return first === command && next !== undefined && next.token !== 0 && next.instance === this.instance
  }

  first(): PendingCommand | undefined {
    return this.#ready[this.#head]
  }

  shift(): void {
    this.#head++
    if (this.#head === this.#ready.length) {
      this.#ready = []
      this.#head = 0
    }
  }

  /** The next ones to be started there, while it has no more than so many; they count as given. One that is under suspicion goes alone. */
  takeStartable(givenMax: number): Lsn[] {
    const commands: Lsn[] = []
    for (let command = this.first(); command !== undefined; command = this.first()) {
      const given = this.given + commands.length
      if (this.probing || ((this.isHeld || given >= givenMax) && !this.isAwaited(command))) break
      if (command.crashes > 0 && this.instance !== dispatcherName) {
        if (given > 0) break
        this.probing = true
      }
      this.shift()
      commands.push(command.lsn)
    }
    this.#drafted += commands.length
    return commands
  }

  /** What was ready and has not been drafted, which then no longer is. */
  takeReady(): readonly PendingCommand[] {
    const taken = this.#ready.slice(this.#head)
    this.#ready = []
    this.#head = 0
    return taken
  }
}

export class InstanceLoads {
  readonly #byInstance = new Map<string, InstanceLoad>()

  of(instance: string): InstanceLoad {
    let load = this.#byInstance.get(instance)
    if (load === undefined) {
      load = new InstanceLoad(instance)
      this.#byInstance.set(instance, load)
    }
    return load
  }

  delete(instance: string): void {
    this.#byInstance.delete(instance)
  }

  clear(): void {
    this.#byInstance.clear()
  }

  values(): IterableIterator<InstanceLoad> {
    return this.#byInstance.values()
  }
}
