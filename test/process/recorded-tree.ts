import { dirname, relative } from 'node:path'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { type MediumState, RecordedDisk } from './recorded-disk.ts'
import { descriptorOf, type SystemCall, stringsIn } from './system-calls.ts'

/** By the path of each directory, below the first one: its files. */
export type TreeState = ReadonlyMap<string, MediumState>

interface Branch {
  readonly disk: RecordedDisk
  /** Its name is on the medium. */
  isCertain: boolean
  readonly made: number
}

/** Directories below one as a disk may have them: one that was made is certain after a flush of the one above it. */
export class RecordedTree {
  readonly #root: string
  readonly #branches = new Map<string, Branch>()
  readonly #open = new Map<number, string>()

  constructor(root: string) {
    this.#root = root
  }

  /** @returns whether anything on the disk may be different now */
  take(call: SystemCall): boolean {
    if (call.result < 0) return false
    const path = stringsIn(call)[0]?.toString() ?? ''
    if (call.name === 'mkdir' && (path === this.#root || path.startsWith(`${this.#root}/`))) {
      this.#branches.set(path, { disk: new RecordedDisk(path), isCertain: path === this.#root, made: call.ended })
      return true
    }
    if (call.name === 'openat' && this.#branches.has(path)) this.#open.set(call.result, path)
    if (call.name === 'close') this.#open.delete(descriptorOf(call))
    let isChanged = call.name === 'fsync' && this.#flushed(call)
    for (const { disk } of this.#branches.values()) isChanged = disk.take(call) || isChanged
    return isChanged
  }

  /** The states of all directories side by side, each with and without the directories that may be missing. */
  *states(random: SeededRandom): Generator<TreeState> {
    const branches = [...this.#branches]
    const states = branches.map(([, { disk }]) => [...disk.states(random)])
    const most = Math.max(0, ...states.map(({ length }) => length))
    const uncertain = branches.filter(([, { isCertain }]) => !isCertain).map(([path]) => path)
    for (const missing of uncertain.length === 0 ? [[]] : [[], ...uncertain.map((path) => [path]), uncertain]) {
      const isThere = (path: string): boolean => !missing.some((gone) => path === gone || path.startsWith(`${gone}/`))
      for (let at = 0; at < most; at++) {
        const tree = new Map<string, MediumState>()
        for (const [index, [path]] of branches.entries()) {
          const ofBranch = states[index] ?? []
          const state = ofBranch[at % ofBranch.length]
          if (state !== undefined && isThere(path)) tree.set(relative(this.#root, path), state)
        }
        yield tree
      }
    }
  }

  #flushed(call: SystemCall): boolean {
    const above = this.#open.get(descriptorOf(call))
    if (above === undefined) return false
    let isChanged = false
    for (const [path, branch] of this.#branches) {
      if (branch.isCertain || dirname(path) !== above || branch.made >= call.begun) continue
      branch.isCertain = true
      isChanged = true
    }
    return isChanged
  }
}
