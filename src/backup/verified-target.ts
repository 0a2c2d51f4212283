import { createHash } from 'node:crypto'
import { pipeline, type Readable, Transform } from 'node:stream'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { BackupManifest, BackupObject } from './backup-manifest.ts'

/** A backup whose objects are held to its manifest while they are read. */
export function verifiedTarget(target: ArchiveTarget, { objects }: BackupManifest): ArchiveTarget {
  const known = new Map(objects.map((object) => [object.name, object]))
  const read = async (name: string): Promise<Readable> => {
    const object = known.get(name)
    const source = await target.read(name).catch((error: unknown) => {
      const isGone = isCommanderError(error) && error.code === 'not_found' && object !== undefined
      throw isGone ? damaged(target, name, `it is missing, and ${archiveNames.backup} says that it is there`) : error
    })
    return object === undefined ? source : held(target, source, object)
  }
  return {
    location: target.location,
    list: (prefix, after) => target.list(prefix, after),
    putFile: (name, path) => target.putFile(name, path),
    putStream: (name, source) => target.putStream(name, source),
    putBytes: (name, bytes) => target.putBytes(name, bytes),
    read,
    check: (name) => target.check(name),
    close: () => target.close(),
  }
}

function held(target: ArchiveTarget, source: Readable, { name, bytes, sha256 }: BackupObject): Readable {
  const hash = createHash('sha256')
  let readBytes = 0
  const held = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      readBytes += chunk.length
      done(null, chunk)
    },
    flush(done) {
      const found = hash.digest('hex')
      if (readBytes === bytes && found === sha256) done()
      else
        done(
          damaged(
            target,
            name,
            `it has ${readBytes} bytes with SHA-256 ${found}, ${archiveNames.backup} says ${bytes} with ${sha256}`,
          ),
        )
    },
  })
  // Whoever reads `held` is told of the error of `source`, which destroys it.
  pipeline(source, held, () => {})
  return held
}

const damaged = (target: ArchiveTarget, object: string, reason: string): CommanderError =>
  new CommanderError('archive_corrupt', `${object} in the backup ${target.location} is damaged: ${reason}`, {
    details: { location: target.location, object, reason },
  })
