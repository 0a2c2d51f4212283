import { createHash } from 'node:crypto'
import { readSmallObject } from '../archive/archive-identity.ts'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'

/** `backup.json`: what a backup holds. Written last, so that a backup that was broken off has none. */
export interface BackupManifest {
  readonly format: 1
  /** Of the journal, 32 hexadecimal digits. */
  readonly journalId: string
  /** As in `identity.json`. */
  readonly database: { readonly databaseId: string; readonly format: number; readonly createdAt: string }
  readonly journalFormat: number
  readonly timeline: number
  /** The segments begin at or before this entry: the first one behind the store's root. */
  readonly fromLsn: number
  /** What the store's tables hold. */
  readonly appliedLsn: number
  /** When the frame of that entry was written, ISO 8601: no earlier time can be restored from this backup. */
  readonly appliedTime: string
  /** The last entry of the backup; 0 for an empty database. */
  readonly toLsn: number
  /** Digest of the frame that ends at `toLsn`, hexadecimal: says which history this is a part of. */
  readonly toDigest: string
  /** When that frame was written, ISO 8601. */
  readonly toTime: string
  /** Of the root state at `toLsn`. */
  readonly stateHash: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly completedAt: string
  /** Where the database archived its segments; `null` when it did not. */
  readonly archive: string | null
  readonly objects: readonly BackupObject[]
}

export interface BackupObject {
  readonly name: string
  /** As it lies there, compressed. */
  readonly bytes: number
  readonly sha256: string
}

const manifestBytesMax = 67_108_864

/** Closed with a digest of itself: of all objects only this one is named nowhere else with its digest. */
export const encodeManifest = (manifest: BackupManifest): Buffer =>
  Buffer.from(`${textOf({ ...manifest, sha256: sha256Of(manifest) })}\n`)

const textOf = (manifest: object): string => JSON.stringify(manifest, undefined, 2)

const sha256Of = (manifest: object): string => createHash('sha256').update(textOf(manifest)).digest('hex')

/**
 * `null` where there is no backup: an archive, an unfinished backup, nothing at all.
 * @throws CommanderError `archive_corrupt`, `unsupported_version`, `archive_unavailable`
 */
export async function readManifest(target: ArchiveTarget): Promise<BackupManifest | null> {
  const bytes = await readSmallObject(target, archiveNames.backup, manifestBytesMax).catch((error: unknown) => {
    if (isCommanderError(error) && error.code === 'not_found') return null
    throw error
  })
  return bytes === null ? null : parse(target, bytes)
}

const numbers = ['journalFormat', 'timeline', 'fromLsn', 'appliedLsn', 'toLsn'] as const
const texts = ['journalId', 'appliedTime', 'toDigest', 'toTime', 'stateHash', 'startedAt', 'completedAt'] as const

function parse(target: ArchiveTarget, bytes: Buffer): BackupManifest {
  let parsed: Partial<BackupManifest & { readonly sha256: string }>
  try {
    parsed = (JSON.parse(bytes.toString('utf8')) ?? {}) as typeof parsed
  } catch (cause) {
    throw damaged(target, 'it is not JSON', cause)
  }
  const { sha256, ...found } = parsed
  const { format } = found
  if (typeof format === 'number' && format > 1) {
    const message = `the backup ${target.location} has format ${format}, this program knows format 1: use the CommanderDB release that made it`
    throw new CommanderError('unsupported_version', message, { details: { version: format, known: 1 } })
  }
  const own = sha256Of(found)
  if (sha256 !== own) throw damaged(target, `its SHA-256 is ${own}, and it says ${sha256 ?? 'none'}`)
  const missing =
    numbers.find((name) => !Number.isSafeInteger(found[name])) ?? texts.find((name) => typeof found[name] !== 'string')
  if (format !== 1 || missing !== undefined) throw damaged(target, `it has no sound ${missing ?? 'format'}`)
  if (typeof found.database?.databaseId !== 'string') throw damaged(target, 'it has no sound database')
  if (!Array.isArray(found.objects)) throw damaged(target, 'it has no sound objects')
  return found as BackupManifest
}

const damaged = (target: ArchiveTarget, reason: string, cause?: unknown): CommanderError =>
  new CommanderError(
    'archive_corrupt',
    `${archiveNames.backup} of the backup ${target.location} is damaged: ${reason}`,
    {
      details: { location: target.location, object: archiveNames.backup, reason },
      cause,
    },
  )
