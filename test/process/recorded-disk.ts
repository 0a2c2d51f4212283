import { basename, dirname } from 'node:path'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { descriptorOf, lastNumberIn, type SystemCall, stringsIn } from './system-calls.ts'

/** What was asked of a file and is on the medium for certain only after the next flush of it. */
interface Change {
  readonly file: RecordedFile
  readonly position: number
  readonly bytes: Buffer
  /** Of a truncation: the size that it sets. */
  readonly size: number | null
  readonly ended: number
}

class RecordedFile {
  durable: Buffer = Buffer.alloc(0)
}

type NameChange =
  | { readonly kind: 'made'; readonly name: string; readonly file: RecordedFile }
  | { readonly kind: 'renamed'; readonly from: string; readonly to: string }
  | { readonly kind: 'removed'; readonly name: string }

/** What the medium may hold when the power fails: a file for each name. */
export type MediumState = ReadonlyMap<string, Buffer>

const sectorBytes = 512
const tornVariants = 4
const singledOutMax = 5
const subsetsOfNamesMax = 3

/**
 * One directory as a disk may have it while the calls of a recording are carried out. A change to a file is certain after
 * a flush of that file that began after it; until then it is there, missing, or torn in sectors, whatever the others are.
 * A change of names is certain after a flush of the directory; until then each may be there or not.
 */
export class RecordedDisk {
  readonly #directory: string
  readonly #open = new Map<number, RecordedFile | 'directory'>()
  readonly #names = new Map<string, RecordedFile>()
  readonly #durableNames = new Map<string, RecordedFile>()
  #changes: Change[] = []
  #nameChanges: (NameChange & { readonly ended: number })[] = []

  constructor(directory: string) {
    this.#directory = directory
  }

  /** @returns whether anything on the disk may be different now */
  take(call: SystemCall): boolean {
    if (call.result < 0) return false
    switch (call.name) {
      case 'openat':
        return this.#opened(call)
      case 'close':
        this.#open.delete(descriptorOf(call))
        return false
      case 'write':
      case 'pwrite64':
      case 'pwritev':
        return this.#wrote(call)
      case 'ftruncate':
        return this.#changed(call, { position: 0, bytes: Buffer.alloc(0), size: lastNumberIn(call) })
      case 'fdatasync':
      case 'fsync':
        return this.#flushed(call)
      case 'rename':
        return this.#renamed(call)
      case 'unlink':
        return this.#removed(call)
      case 'mkdir':
        // of a tree, see there: what is recorded here is one directory
        return false
      default:
        throw new Error(`the recording has a call that nobody knows here: ${call.name}`)
    }
  }

  /** Every state within the bounds: each change alone there or alone missing, every prefix, and some torn in sectors. */
  *states(random: SeededRandom): Generator<MediumState> {
    const all = this.#changes
    const singled = all.slice(-singledOutMax)
    const kept: ((change: Change) => boolean | 'torn')[] = [() => true, () => false]
    for (const one of all.length > 1 ? singled : []) {
      kept.push((change) => change === one)
      kept.push((change) => change !== one)
      kept.push((change) => change.ended <= one.ended)
    }
    for (let i = 0; i < (all.length > 0 ? tornVariants : 0); i++) kept.push(() => 'torn')
    for (const names of this.#namings()) {
      for (const isKept of kept) yield this.#state(names, isKept, random)
    }
  }

  #opened(call: SystemCall): boolean {
    const path = stringsIn(call)[0]?.toString() ?? ''
    if (path === this.#directory) this.#open.set(call.result, 'directory')
    if (dirname(path) !== this.#directory) return false
    const name = basename(path)
    let file = this.#names.get(name)
    const isMade = file === undefined
    if (file === undefined) {
      file = new RecordedFile()
      this.#names.set(name, file)
      this.#nameChanges.push({ kind: 'made', name, file, ended: call.ended })
    } else if (call.arguments.includes('O_TRUNC')) {
      this.#changes.push({ file, position: 0, bytes: Buffer.alloc(0), size: 0, ended: call.ended })
    }
    this.#open.set(call.result, file)
    return isMade
  }

  #wrote(call: SystemCall): boolean {
    const bytes = Buffer.concat(stringsIn(call)).subarray(0, call.result)
    if (bytes.length !== call.result) throw new Error(`${call.name} wrote ${call.result} bytes, not ${bytes.length}`)
    // Only small files, which are written at once, are written without a place.
    return this.#changed(call, { position: call.name === 'write' ? 0 : lastNumberIn(call), bytes, size: null })
  }

  #changed(call: SystemCall, change: Pick<Change, 'position' | 'bytes' | 'size'>): boolean {
    const file = this.#open.get(descriptorOf(call))
    if (!(file instanceof RecordedFile)) return false
    this.#changes.push({ file, ...change, ended: call.ended })
    return true
  }

  #flushed(call: SystemCall): boolean {
    const flushed = this.#open.get(descriptorOf(call))
    if (flushed === undefined) return false
    if (flushed === 'directory') {
      const certain = this.#nameChanges.filter(({ ended }) => ended < call.begun)
      this.#nameChanges = this.#nameChanges.filter(({ ended }) => ended >= call.begun)
      for (const change of certain) applyName(this.#durableNames, change)
      return true
    }
    const isCertain = ({ file, ended }: Change): boolean => file === flushed && ended < call.begun
    for (const change of this.#changes.filter(isCertain)) flushed.durable = applied(flushed.durable, change)
    this.#changes = this.#changes.filter((change) => !isCertain(change))
    return true
  }

  #renamed(call: SystemCall): boolean {
    const [from = '', to = ''] = stringsIn(call).map((path) => path.toString())
    if (dirname(from) !== this.#directory) return false
    const change = { kind: 'renamed', from: basename(from), to: basename(to), ended: call.ended } as const
    applyName(this.#names, change)
    this.#nameChanges.push(change)
    return true
  }

  #removed(call: SystemCall): boolean {
    const path = stringsIn(call)[0]?.toString() ?? ''
    if (dirname(path) !== this.#directory) return false
    const change = { kind: 'removed', name: basename(path), ended: call.ended } as const
    applyName(this.#names, change)
    this.#nameChanges.push(change)
    return true
  }

  /** With any of the uncertain changes of names, or with a prefix of them where they are many. */
  *#namings(): Generator<ReadonlyMap<string, RecordedFile>> {
    const uncertain = this.#nameChanges
    const isFew = uncertain.length <= subsetsOfNamesMax
    for (let chosen = 0; chosen < (isFew ? 1 << uncertain.length : uncertain.length + 1); chosen++) {
      const names = new Map(this.#durableNames)
      for (const [i, change] of uncertain.entries())
        if (isFew ? (chosen & (1 << i)) !== 0 : i < chosen) applyName(names, change)
      yield names
    }
  }

  #state(
    names: ReadonlyMap<string, RecordedFile>,
    isKept: (change: Change) => boolean | 'torn',
    random: SeededRandom,
  ): MediumState {
    const contents = new Map<RecordedFile, Buffer>()
    for (const change of this.#changes) {
      const { file } = change
      const kept = isKept(change)
      const before = contents.get(file) ?? file.durable
      if (kept === 'torn') contents.set(file, torn(before, change, random))
      else if (kept) contents.set(file, applied(before, change))
    }
    return new Map([...names].map(([name, file]) => [name, contents.get(file) ?? file.durable]))
  }
}

function applyName(names: Map<string, RecordedFile>, change: NameChange): void {
  if (change.kind === 'made') names.set(change.name, change.file)
  else if (change.kind === 'removed') names.delete(change.name)
  else {
    const file = names.get(change.from)
    if (file === undefined) return
    names.delete(change.from)
    names.set(change.to, file)
  }
}

function applied(before: Buffer, { position, bytes, size }: Change): Buffer {
  const after = Buffer.alloc(size ?? Math.max(before.length, position + bytes.length))
  before.copy(after)
  bytes.copy(after, position)
  return after
}

/** Each sector of it is there or not. */
function torn(before: Buffer, change: Change, random: SeededRandom): Buffer {
  const { position, bytes, size } = change
  if (size !== null) return random.chance(0.5) ? applied(before, change) : before
  const after = applied(before, { ...change, bytes: Buffer.alloc(0), position: position + bytes.length })
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(sectorBytes - ((position + at) % sectorBytes), bytes.length - at)
    if (random.chance(0.5)) bytes.copy(after, position + at, at, at + length)
    at += length
  }
  return after
}
