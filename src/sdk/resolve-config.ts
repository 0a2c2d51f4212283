import { dirname, resolve } from 'node:path'
import { CommanderError } from '../kernel/errors.ts'
import type { Leaves } from './config-file.ts'
import { leavesOf } from './config-file.ts'
import type { ConfigKey, ItemKey, ListKind } from './config-key.ts'
import { attributeOf } from './config-key.ts'
import { configKeys } from './config-schema.ts'
import { checkTogether, treeOf } from './config-tree.ts'
import { checkValue, parseText } from './config-value.ts'
import { describe } from './definition.ts'
import type { ExplainedValue, Origin, ResolvedConfig } from './resolved-config.ts'

export interface ConfigSources {
  /** The default export of the config file. Absent: there is no file. */
  readonly file?: unknown
  /** Absolute path of the config file: names it in errors, and its relative paths start there. */
  readonly fileName?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** By attribute, as command-line parsers hand them over: `httpPort`, `app`. Text or values; `undefined` is absent. */
  readonly flags: Readonly<Record<string, unknown>>
  /** Relative paths in flags, variables and defaults start here. Absolute. */
  readonly cwd: string
}

export interface ConfigResolution {
  readonly config: ResolvedConfig
  /** By key, as in `explained`. */
  readonly origins: Readonly<Record<string, Origin>>
  /** Every value and where it came from, in the order of the schema. */
  readonly explained: readonly ExplainedValue[]
}

/** A leaf with its final value; `key` may lie in a list: `applications[0].module`. */
interface Settled {
  readonly key: string
  readonly row: ItemKey & Partial<ConfigKey>
  /** `undefined`: not set. */
  readonly value: unknown
  readonly origin: Origin
}

const knownPaths: ReadonlySet<string> = new Set(configKeys.map((row) => row.path))

/**
 * Merges what the flags, the `COMMANDERDB_…` variables, the config file and the defaults say, in this order of
 * precedence, and checks it all. Pure: reads neither files nor the real environment.
 *
 * @throws CommanderError `invalid_config` naming the key, the value, what it must be, and where it was found
 */
export function resolveConfig(sources: ConfigSources): ConfigResolution {
  const leaves = leavesOf(withHttpObject(sources.file ?? {}), knownPaths, fileOf(sources))
  const settled = configKeys.flatMap((row) => settle(row, leaves, sources)).map((leaf) => checked(leaf, sources))
  const config = treeOf(settled)
  const origins: Record<string, Origin> = Object.fromEntries(settled.map(({ key, origin }) => [key, origin]))
  checkTogether(config, (key) => nameOf(origins[key] ?? { kind: 'default' }))
  return { config, origins, explained: settled.map(explain) }
}

/** `http: false` says the same as `http: { port: false }`. */
function withHttpObject(file: unknown): unknown {
  const isOff = typeof file === 'object' && file !== null && (file as { readonly http?: unknown }).http === false
  return isOff ? { ...file, http: { port: false } } : file
}

function settle(row: ConfigKey, leaves: Leaves, sources: ConfigSources): readonly Settled[] {
  const { value, origin } = find(row, leaves, sources)
  if (row.kind.type !== 'list') return [{ key: row.path, row, value, origin }]
  if (!Array.isArray(value)) {
    const message = `${nameOf(origin)}: ${row.path} is ${describe(value)}, but must be a list`
    throw new CommanderError('invalid_config', message, { details: { key: row.path, origin: nameOf(origin) } })
  }
  if (value.length === 0) return [{ key: row.path, row, value, origin }]
  const { kind } = row
  return value.flatMap((item: unknown, index) => settleItem(kind, item, `${row.path}[${index}].`, origin))
}

function find(row: ConfigKey, leaves: Leaves, sources: ConfigSources): Pick<Settled, 'value' | 'origin'> {
  const flag = row.flag === undefined ? undefined : sources.flags[attributeOf(row.flag)]
  if (row.flag !== undefined && flag !== undefined) {
    return {
      value: typeof flag === 'string' ? parseText(row.kind, flag) : flag,
      origin: { kind: 'flag', name: row.flag },
    }
  }
  const variable = sources.env[row.variable]
  // An empty variable is how shells and service files unset one.
  if (variable !== undefined && variable !== '') {
    return { value: parseText(row.kind, variable), origin: { kind: 'variable', name: row.variable } }
  }
  if (leaves.has(row.path)) return { value: leaves.get(row.path), origin: { kind: 'file', name: fileOf(sources) } }
  return { value: row.default, origin: { kind: 'default' } }
}

function settleItem(kind: ListKind, input: unknown, prefix: string, origin: Origin): readonly Settled[] {
  const item = typeof input === 'string' && kind.shorthand !== undefined ? { [kind.shorthand]: input } : input
  const leaves = leavesOf(item, new Set(kind.items.map((row) => row.path)), nameOf(origin), prefix)
  return kind.items.map((row) => {
    const key = prefix + row.path
    if (leaves.has(row.path)) return { key, row, value: leaves.get(row.path), origin }
    if (row.required) {
      const message = `${nameOf(origin)}: ${key} is missing (${row.help})`
      throw new CommanderError('invalid_config', message, { details: { key, origin: nameOf(origin) } })
    }
    return { key, row, value: row.default, origin: { kind: 'default' } }
  })
}

function checked(leaf: Settled, sources: ConfigSources): Settled {
  const { kind, unit } = leaf.row
  if (leaf.value === undefined || kind.type === 'list') return leaf
  checkValue(kind, leaf.value, { key: leaf.key, origin: nameOf(leaf.origin), ...(unit === undefined ? {} : { unit }) })
  const value = leaf.value as string
  const prefix = kind.type === 'path' ? '' : kind.type === 'text' ? kind.pathAfter : undefined
  if (prefix === undefined || !value.startsWith(prefix)) return leaf
  const base = leaf.origin.kind === 'file' && sources.fileName !== undefined ? dirname(sources.fileName) : sources.cwd
  return { ...leaf, value: prefix + resolve(base, value.slice(prefix.length)) }
}

function explain({ key, row, value, origin }: Settled): ExplainedValue {
  const { help, unit, variable, flag } = row
  return {
    key,
    value: value === undefined ? null : shown(row, value),
    origin,
    help,
    ...(unit === undefined ? {} : { unit }),
    ...(variable === undefined ? {} : { variable }),
    ...(flag === undefined ? {} : { flag }),
  }
}

/** Environment variables often hold secrets, and what is explained is printed and pasted. */
function shown(row: ItemKey, value: unknown): unknown {
  if (row.kind.type !== 'record') return value
  return Object.fromEntries(Object.keys(value as object).map((name) => [name, '(hidden)']))
}

const fileOf = (sources: ConfigSources): string => sources.fileName ?? 'the config file'

const nameOf = (origin: Origin): string => (origin.kind === 'default' ? 'the default' : origin.name)
