import { CommanderError } from '../kernel/errors.ts'
import { replicationFault, replicationOf } from './replication-config.ts'
import type { ResolvedConfig } from './resolved-config.ts'

interface Leaf {
  readonly key: string
  readonly value: unknown
}

/** Objects by name and lists by number, while they are being put together. */
type Branch = Record<string | number, unknown>

/** Puts checked leaves together into the config that they stand for. */
export function treeOf(leaves: readonly Leaf[]): ResolvedConfig {
  const tree: Branch = {}
  for (const { key, value } of leaves) if (value !== undefined) put(tree, stepsOf(key), value)
  const { http, archive, replication } = tree as {
    http: { port: number | false }
    archive?: object
    replication: object
  }
  const rest = { archive: archive ?? null, replication: replicationOf(replication) }
  return { ...tree, http: http.port === false ? false : http, ...rest } as unknown as ResolvedConfig
}

/** `applications[0].module` is `['applications', 0, 'module']`. */
function stepsOf(key: string): readonly (string | number)[] {
  return key
    .split(/[.[\]]+/)
    .filter((step) => step !== '')
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step))
}

function put(tree: Branch, steps: readonly (string | number)[], value: unknown): void {
  let branch = tree
  for (const [index, step] of steps.slice(0, -1).entries()) {
    branch[step] ??= typeof steps[index + 1] === 'number' ? [] : {}
    branch = branch[step] as Branch
  }
  // A copy, because defaults and the user's own objects must not change along with the result.
  branch[steps.at(-1) as string | number] = structuredClone(value)
}

/**
 * What no single key can check.
 *
 * @param originOf - name of the place where a key was found
 * @throws CommanderError `invalid_config`
 */
export function checkTogether(config: ResolvedConfig, originOf: (key: string) => string): void {
  const { segmentBytes, maxJournalBytes } = config.journal
  if (maxJournalBytes < 2 * segmentBytes) {
    const bound = `must be at least twice journal.segmentBytes, ${2 * segmentBytes}`
    throw wrong('journal.maxJournalBytes', `is ${maxJournalBytes}, but ${bound}`, originOf)
  }
  checkArchive(config.archive, originOf)
  const { archive, dataDir } = config
  const directory = archive !== null && 'directory' in archive ? archive.directory : null
  const journal = { maxJournalBytes, segmentBytes }
  const fault = replicationFault(config.replication, { archiveDirectory: directory, dataDir, journal })
  if (fault !== null) {
    const [key, what, because] = fault
    throw wrong(key, what, () => originOf(because))
  }
  checkModules(config, originOf)
  checkTokens(config, originOf)
}

function checkArchive(archive: ResolvedConfig['archive'], originOf: (key: string) => string): void {
  if (archive === null || !('s3' in archive)) return
  if ('directory' in archive) {
    throw wrong('archive.directory', 'is given beside archive.s3, but there can be only one of them', originOf)
  }
  // Typed as present, but put together from leaves, any of which may be missing.
  if ((archive.s3.bucket as string | undefined) === undefined) {
    const given = `archive.s3.${Object.keys(archive.s3)[0]}`
    throw wrong(given, 'is given without archive.s3.bucket; add the bucket', originOf)
  }
}

function checkModules(config: ResolvedConfig, originOf: (key: string) => string): void {
  const modules = config.applications.map((application) => application.module)
  for (const [index, module] of modules.entries()) {
    if (modules.indexOf(module) === index) continue
    throw wrong(
      `applications[${index}].module`,
      `is "${module}" again; raise instances to run it several times`,
      originOf,
    )
  }
}

function checkTokens(config: ResolvedConfig, originOf: (key: string) => string): void {
  const { tokens } = config.security
  for (const [index, token] of tokens.entries()) {
    if (tokens.findIndex(({ name }) => name === token.name) === index) continue
    throw wrong(`security.tokens[${index}].name`, `is "${token.name}" again; names must be unique`, originOf)
  }
}

function wrong(key: string, what: string, originOf: (key: string) => string): CommanderError {
  return new CommanderError('invalid_config', `${originOf(key)}: ${key} ${what}`, {
    details: { key, origin: originOf(key) },
  })
}
