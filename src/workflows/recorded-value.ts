import { pack } from '../actions/message-pack.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

/** A value as the history has it, or what is wrong with it: a predicate, for an error that names the value. */
export type Recorded = { readonly value: unknown } | { readonly problem: string }

/**
 * The copy of a value that is recorded: exactly what code gets that runs again from the history, so that it never comes to
 * something else then. What would come back as something else is refused: maps, sets, instances of classes, functions,
 * bigints. As in JSON, properties that are `undefined` are left out, and everywhere else `undefined` is null.
 */
export function recordedValue(value: unknown): Recorded {
  if (value === undefined) return { value: null }
  const copying = new Copying()
  const copy = copying.copy(value, 0)
  const problem = copying.problem ?? tooLarge(copy, copying.bytesMost)
  return problem === null ? { value: copy } : { problem }
}

/** The same. @param what names the value in the error @throws CommanderError `invalid_input` */
export function recordedOrThrow(value: unknown, what: () => string): unknown {
  const recorded = recordedValue(value)
  if ('value' in recorded) return recorded.value
  throw new CommanderError('invalid_input', `${what()} ${recorded.problem}`)
}

/** What code is handed of what was recorded: a copy of its own, so that nothing it does to it changes what is recorded. */
export function handedOut(recorded: unknown): unknown {
  if (typeof recorded !== 'object' || recorded === null) return recorded
  if (Array.isArray(recorded)) return recorded.map(handedOut)
  if (recorded instanceof Date) return new Date(recorded.getTime())
  if (recorded instanceof Uint8Array) return new Uint8Array(recorded)
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(recorded)) copy[key] = handedOut(value)
  return copy
}

function tooLarge(value: unknown, bytesMost: number): string | null {
  if (bytesMost <= limits.workflowValueBytesMax) return null
  const bytes = pack(value).length
  if (bytes <= limits.workflowValueBytesMax) return null
  return `has ${bytes} bytes; at most ${limits.workflowValueBytesMax} can be recorded: keep it elsewhere, and record where`
}

/** Most characters of a path that a message shows. */
const pathLengthMax = 60
/** MessagePack takes no more for anything, beside what is inside of it. */
const headBytesMax = 16

class Copying {
  /** It takes no more in MessagePack: what is below the limit by this need not be packed to know it. */
  bytesMost = 0
  /** What cannot be recorded, and what to do; the first that was found. */
  #found: { readonly what: string; readonly advice: string } | null = null
  /** Where that is, from the whole on; written on the way back. */
  #path = ''

  get problem(): string | null {
    if (this.#found === null) return null
    const { what, advice } = this.#found
    const path = this.#path.replace(/^\./, '')
    const at = path.length <= pathLengthMax ? path : `${path.slice(0, pathLengthMax)}…`
    return `${path === '' ? `is ${what}` : `has ${what} at ${at}`}, which cannot be recorded; ${advice}`
  }

  copy(value: unknown, depth: number): unknown {
    this.bytesMost += headBytesMax
    switch (typeof value) {
      case 'string':
        this.bytesMost += 3 * value.length
        return value.isWellFormed() ? value : value.toWellFormed()
      case 'number':
        return Object.is(value, -0) ? 0 : value
      case 'boolean':
        return value
      case 'undefined':
        return null
      case 'object':
        return value === null ? null : this.#object(value, depth)
      case 'bigint':
        return this.#refuse('a bigint', 'hand it over as text')
      default:
        return this.#refuse(`a ${typeof value}`, 'leave it out')
    }
  }

  #object(value: object, depth: number): unknown {
    if (depth >= limits.workflowValueDepthMax)
      return this.#refuse(
        `more than ${depth} levels (does it refer to itself?)`,
        'flatten it, and let it not refer to itself',
      )
    if (Array.isArray(value)) return this.#list(value, depth)
    const prototype = Object.getPrototypeOf(value) as object | null
    // That of another realm is as good.
    if (prototype === null || Object.getPrototypeOf(prototype) === null)
      return this.#record(value as Readonly<Record<string, unknown>>, depth)
    if (value instanceof Date) return new Date(value.getTime())
    // No Buffer: it has other methods than what comes back.
    if (value instanceof Uint8Array && prototype.constructor?.name === 'Uint8Array') {
      this.bytesMost += value.length
      return new Uint8Array(value)
    }
    return this.#refuse(classOf(prototype), instead(value))
  }

  #list(list: readonly unknown[], depth: number): unknown[] {
    const copy: unknown[] = []
    // By index, or holes would stay holes.
    for (let i = 0; i < list.length; i++) {
      copy.push(this.copy(list[i], depth + 1))
      if (this.#found !== null) {
        this.#isIn(`[${i}]`)
        break
      }
    }
    return copy
  }

  #record(record: Readonly<Record<string, unknown>>, depth: number): object {
    const copy: Record<string, unknown> = {}
    for (const key of Object.keys(record)) {
      const value = record[key]
      if (value === undefined) continue
      this.bytesMost += headBytesMax + 3 * key.length
      if (key === '__proto__') this.#refuse('a property of this name', 'give it another one')
      else copy[key.isWellFormed() ? key : key.toWellFormed()] = this.copy(value, depth + 1)
      if (this.#found !== null) {
        this.#isIn(`.${key}`)
        break
      }
    }
    return copy
  }

  #isIn(place: string): void {
    this.#path = `${place}${this.#path}`.slice(0, 2 * pathLengthMax)
  }

  #refuse(what: string, advice: string): null {
    this.#found ??= { what, advice }
    return null
  }
}

function classOf(prototype: object): string {
  const name: unknown = prototype.constructor?.name
  if (typeof name !== 'string' || name === '') return 'an instance of a class'
  return `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`
}

/** What can be handed over in its place. */
function instead(value: object): string {
  if (value instanceof Map) return 'make an object of it, Object.fromEntries(map), or a list of pairs, [...map]'
  if (value instanceof Set) return 'make a list of it, [...set]'
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'hand over a Uint8Array, new Uint8Array(bytes)'
  if (value instanceof Error) return 'hand over its message, or throw it'
  if (value instanceof Promise) return 'await it'
  return 'hand over a plain object with its values'
}
