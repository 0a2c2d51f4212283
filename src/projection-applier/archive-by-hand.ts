import type { Switched } from '../ipc/journal-protocol.ts'
import { CommanderError, fromWireError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** What the applier passes on between the journal writer and the archiver. */
export interface ArchiveOfApplier {
  readonly archivedLsn: Lsn
  flushed(upTo: Lsn): void
  switched(switched: Switched): void
}

export interface ArchiveByHandOptions {
  readonly archiver: {
    status(): { readonly location: string }
    whenArchived(upTo: Lsn, done: (error: CommanderError | null) => void): void
  }
  /** Asks the journal writer, who answers by `switched`; false when it is not there. */
  readonly switchSegment: () => boolean
  /** Its entries lie behind the seal: once they are flushed, so is the seal. */
  readonly takeCheckpoint: () => void
}

export interface Archived {
  readonly upTo: Lsn
  readonly location: string
}

type ArchivedDone = (error: CommanderError | null, archived: Archived | null) => void

/** Everything that is written when it is asked for goes to the archive, without waiting for the segment to be full. */
export class ArchiveByHand {
  readonly #o: ArchiveByHandOptions
  #asked: ArchivedDone[] = []

  constructor(options: ArchiveByHandOptions) {
    this.#o = options
  }

  /** @throws CommanderError `not_ready` */
  ask(done: ArchivedDone): void {
    if (!this.#o.switchSegment()) throw new CommanderError('not_ready', 'the journal writer is not there; try again')
    this.#asked.push(done)
    this.#o.takeCheckpoint()
  }

  switched(switched: Switched): void {
    const asked = this.#asked
    this.#asked = []
    for (const done of asked) {
      if ('error' in switched) done(fromWireError(switched.error), null)
      else this.#wait(lsn(switched.sealed), done)
    }
  }

  #wait(upTo: Lsn, done: ArchivedDone): void {
    const { archiver } = this.#o
    archiver.whenArchived(upTo, (error) => {
      if (error === null) done(null, { upTo, location: archiver.status().location })
      else done(error, null)
    })
  }
}
