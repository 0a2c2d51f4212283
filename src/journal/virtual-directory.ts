import type { Random } from '../kernel/environment.ts'
import type { VirtualFile } from './virtual-file.ts'

/** What a name stands for from now on; `null`: nothing. */
type Binding = readonly [name: string, file: VirtualFile | null]

/**
 * The names of a virtual disk: what programs see, and what is on the medium. A change is seen at once and survives a
 * power failure only once the directory was flushed; until then each one may be there or not, whatever became of the others.
 */
export class VirtualDirectory {
  private readonly seen = new Map<string, VirtualFile>()
  private readonly medium = new Map<string, VirtualFile>()
  private unsynced: (readonly Binding[])[] = []

  get(name: string): VirtualFile | undefined {
    return this.seen.get(name)
  }

  names(): string[] {
    return [...this.seen.keys()].sort()
  }

  files(): IterableIterator<[string, VirtualFile]> {
    return this.seen.entries()
  }

  /** One change of the directory: all of these names at once, or none. */
  change(...bindings: readonly Binding[]): void {
    bind(this.seen, bindings)
    this.unsynced.push(bindings)
  }

  /** There, and on the medium. */
  plant(name: string, file: VirtualFile): void {
    this.seen.set(name, file)
    this.medium.set(name, file)
  }

  sync(): void {
    for (const bindings of this.unsynced) bind(this.medium, bindings)
    this.unsynced = []
  }

  /** The power fails. */
  crash(random: Random): void {
    const mood = random.uint32() % 4
    const survives = (): boolean => (mood === 0 ? false : mood === 1 ? true : random.uint32() % 2 === 0)
    for (const bindings of this.unsynced) if (survives()) bind(this.medium, bindings)
    this.unsynced = []
    this.seen.clear()
    for (const [name, file] of this.medium) this.seen.set(name, file)
  }
}

function bind(names: Map<string, VirtualFile>, bindings: readonly Binding[]): void {
  for (const [name, file] of bindings) {
    if (file === null) names.delete(name)
    else names.set(name, file)
  }
}
