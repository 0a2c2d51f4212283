import { CommanderError } from '../kernel/errors.ts'
import { describe } from './definition.ts'
import { nearestName } from './nearest-name.ts'

/** Values by leaf path, for example `journal.segmentBytes`. */
export type Leaves = ReadonlyMap<string, unknown>

/**
 * Takes an object apart into the known leaves. What is `undefined` counts as left out.
 *
 * @param prefix - put before each key in errors, for example `applications[0].`
 * @throws CommanderError `invalid_config` for a key that is not known, or a value where an object must be
 */
export function leavesOf(input: unknown, known: ReadonlySet<string>, origin: string, prefix = ''): Leaves {
  const leaves = new Map<string, unknown>()
  collect(input, '')
  return leaves

  function collect(value: unknown, path: string): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const subject = path === '' && prefix === '' ? 'it' : `${prefix}${path}`.replace(/\.$/, '')
      throw new CommanderError('invalid_config', `${origin}: ${subject} is ${describe(value)}, but must be an object`)
    }
    for (const [key, item] of Object.entries(value)) {
      const full = path === '' ? key : `${path}.${key}`
      if (known.has(full)) {
        if (item !== undefined) leaves.set(full, item)
      } else if (isBranch(full, known)) {
        if (item !== undefined) collect(item, full)
      } else throw unknownKey(full, known, origin, prefix)
    }
  }
}

function isBranch(path: string, known: ReadonlySet<string>): boolean {
  for (const leaf of known) if (leaf.startsWith(`${path}.`)) return true
  return false
}

function unknownKey(path: string, known: ReadonlySet<string>, origin: string, prefix: string): CommanderError {
  const nearest = `${prefix}${nearestName(path, namesIn(known))}`
  return new CommanderError(
    'invalid_config',
    `${origin}: the key ${prefix}${path} is not known; the nearest known key is ${nearest}`,
    { details: { key: `${prefix}${path}`, nearest, origin } },
  )
}

/** Leaves and branches: a misspelt `jurnal` means `journal`. */
function namesIn(known: ReadonlySet<string>): ReadonlySet<string> {
  const names = new Set(known)
  for (const leaf of known) {
    for (let dot = leaf.indexOf('.'); dot > 0; dot = leaf.indexOf('.', dot + 1)) names.add(leaf.slice(0, dot))
  }
  return names
}
