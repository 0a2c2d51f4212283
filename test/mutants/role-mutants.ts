import { by, type Mutant } from './mutant.ts'

const gateway = 'test/unit/gateway/gateway.test.ts'
const applier = 'test/unit/projection-applier/projection-applier.test.ts'
const runtime = 'test/unit/application/application-runtime.test.ts'
const writer = 'test/unit/journal-writer/journal-writer.test.ts'
const link = 'test/unit/ipc/link.test.ts'
const deframer = 'test/unit/ipc/deframer.test.ts'

/** The roles: who is told what, and when. */
const roles: readonly Mutant[] = [
  {
    name: 'an outcome is answered before it is flushed',
    attacks: 'G1',
    file: 'src/gateway/answers.ts',
    text: 'else if (outcome.endLsn <= this.#flushed) this.#answer(call, outcome, this.#level)',
    replacement: 'else if (call.wait !== waitModes.received) this.#answer(call, outcome, flushed)',
    foundBy: [by(gateway, 'a call is answered once the end of its command is flushed, and not before')],
  },
  {
    name: 'a refusal is answered before what it tells of is flushed',
    attacks: 'G9',
    file: 'src/gateway/answers.ts',
    text: 'if (at <= this.#flushed) this.#refuse({ call, error, at })',
    replacement: 'if (at > 0) this.#refuse({ call, error, at })',
    foundBy: [
      by(
        gateway,
        'an idempotency key with other data is a conflict, at once or from the journal, told once its first use is flushed',
      ),
    ],
  },
  {
    name: 'what is applied is said behind the next transaction',
    attacks: 'lag of reads',
    file: 'src/replica/follower.ts',
    text: 'the next transaction may take all of the turn.\n    this.#channel?.flush()\n',
    replacement: 'the next transaction may take all of the turn.\n',
    foundBy: [
      by(
        'test/unit/replica/follower.test.ts',
        'a follower says at once what it has applied, and not behind what else it does in that turn',
      ),
    ],
  },
  {
    name: 'an outcome is looked up before the store has it',
    attacks: 'G6',
    file: 'src/gateway/answers.ts',
    text: 'if (neededLsn > this.#applied) this.#lookUps.push({ call, neededLsn })',
    replacement: 'if (neededLsn > this.#flushed) this.#lookUps.push({ call, neededLsn })',
    foundBy: [
      by(
        gateway,
        'an idempotency key whose command has ended is answered once the store has the outcome, and not before',
      ),
    ],
  },
  {
    name: 'a draft that was refused is sent again after a lost connection',
    attacks: 'G3, G6',
    file: 'src/gateway/drafted-calls.ts',
    text: '[...this.#calls.takeAll()].filter(({ isRefused }) => !isRefused)',
    replacement: '[...this.#calls.takeAll()]',
    foundBy: [
      by(
        gateway,
        'a lost connection to the journal writer has no draft sent again that was refused, since its caller was told so',
      ),
    ],
  },
  {
    name: 'a checkpoint is said to be taken before the store is flushed',
    attacks: 'G8',
    file: 'src/projection-applier/projection-applier.ts',
    text: 'if (checkpoint !== null) this.#flushCheckpoint(checkpoint)',
    replacement: 'if (checkpoint !== null) this.#sayApplied(this.#checkpoints.end(checkpoint, null))',
    foundBy: [by(applier, 'checkpoints are said to be taken once the store is flushed, and not before')],
  },
  {
    name: 'a follower of other entries than these is taken for one of this journal',
    attacks: 'R9, G7',
    file: 'src/journal-writer/own-history.ts',
    text: 'payload !== null && crc32(payload) === last.crc',
    replacement: 'payload !== null',
    foundBy: [
      by(
        'test/unit/replica/follower.test.ts',
        'a follower whose writer crashes is reset when other entries stand now where it had applied some',
      ),
    ],
  },
  {
    name: 'a follower that is one entry ahead is taken for one of this journal',
    attacks: 'R9, G7',
    file: 'src/journal-writer/own-history.ts',
    text: 'if (from - 1 > writtenLsn) return false',
    replacement: 'if (from - 2 > writtenLsn) return false',
    foundBy: [
      by(
        'test/unit/journal-writer/own-history.test.ts',
        'a follower has applied a part of this journal when all of it is here, and its last batch the same',
      ),
    ],
  },
  {
    name: 'each node chooses by its own clock after which entries states are compared',
    attacks: 'G7',
    file: 'src/journal-writer/attestation.ts',
    text: 'const interval = this.#intervalOf(wallMs)',
    replacement: 'const interval = this.#intervalOf(this.#o.environment.clock.wallMs())',
    foundBy: [
      by(
        'test/unit/journal-writer/attestation.test.ts',
        'processes whose states are the same are compared after the same entries whoever looks, by the times that the entries carry',
      ),
    ],
  },
  {
    name: 'a node that was wrong once is taken for right when it repeats what it said before',
    attacks: 'G7',
    file: 'src/replication/state-comparison.ts',
    text: 'Math.max(before.agreedLsn, before.difference?.lsn ?? 0)',
    replacement: 'before.agreedLsn',
    foundBy: [
      by(
        'test/unit/replication/state-comparison.test.ts',
        'a node with another state agrees again once it does at a later entry, and not by what it said before',
      ),
    ],
  },
  {
    name: 'the store gets what is not flushed',
    attacks: 'G8, G9',
    file: 'src/projection-applier/projection-applier.ts',
    text: '      if (next.lastLsn > this.#flushed) break // I1\n',
    replacement: '',
    foundBy: [by(applier, 'what is applied is what is flushed, and never more')],
  },
  {
    name: 'the position of the store is saved in another transaction than its data',
    attacks: 'G8',
    file: 'src/projection-applier/projection-applier.ts',
    text: '    putPosition(batch, { applied, globalPosition: Math.max(state.globalPosition, this.#tablesPosition) })\n',
    replacement: [
      '    const position = { applied, globalPosition: Math.max(state.globalPosition, this.#tablesPosition) }',
      '    const save = (later: WriteBatch): void => putPosition(later, position)',
      '    this.#o.environment.scheduler.soon(() => this.#o.store.write(save, () => {}))\n',
    ].join('\n'),
    foundBy: [
      by(
        applier,
        'a crash of the process finds, after whichever transaction, as many events as the store says that it has',
      ),
    ],
  },
  {
    name: 'the position of events is off by one after a restart',
    attacks: 'G4, G7',
    file: 'src/projection-applier/projection-applier.ts',
    text: 'position.globalPosition + 1)',
    replacement: 'position.globalPosition)',
    foundBy: [
      by(
        'test/unit/projection-applier/projections.test.ts',
        'a projection follows what is stored, event by event, with place and time',
      ),
    ],
  },
  {
    name: 'the position of events is off by one in answers',
    attacks: 'G4',
    file: 'src/gateway/gateway.ts',
    text: 'const firstPosition = state.globalPosition + 1',
    replacement: 'const firstPosition = state.globalPosition',
    foundBy: [by(gateway, 'a call is answered once the end of its command is flushed, and not before')],
  },
  {
    name: 'a command is decided although its aggregate has passed the expected revision',
    attacks: 'G2',
    file: 'src/application/draft-outcomes.ts',
    text: 'expected !== undefined && expected !== aggregate.revision',
    replacement: 'expected !== undefined && expected > aggregate.revision',
    foundBy: [
      by(
        runtime,
        'deciding rejects a command that expects a revision which the aggregate has passed, with both revisions',
      ),
    ],
  },
  {
    name: 'a command that fails waits twice as long each time, without bound',
    attacks: 'G10',
    file: 'src/application/draft-outcomes.ts',
    text: 'Math.min(retry.maxDelayMs, retry.initialDelayMs * 2 ** (attempts - 1))',
    replacement: 'retry.initialDelayMs * 2 ** (attempts - 1)',
    foundBy: [
      by(
        runtime,
        'a command that fails is drafted as failed, with a delay that doubles up to its bound, and parked in the end',
      ),
    ],
  },
  {
    name: 'a command that fails is tried once more than it may be',
    attacks: 'G10',
    file: 'src/application/draft-outcomes.ts',
    text: 'attempts < retry.maxAttempts',
    replacement: 'attempts <= retry.maxAttempts',
    foundBy: [by(runtime, 'a command that fails lets those behind it go on once it is parked')],
  },
  {
    name: 'the journal writer does not ask the guard',
    attacks: 'G3, G5',
    file: 'src/journal-writer/draft-intake.ts',
    text: 'if (this.#guard.admits(body, at)) {',
    replacement: 'if (body.length > 0) {',
    foundBy: [
      by(
        writer,
        'a draft under an assignment that is over is refused alone when it is of a process whose drafts stand for themselves',
      ),
    ],
  },
  {
    name: 'what was decided on a refused draft becomes an entry',
    attacks: 'G2, G5',
    file: 'src/journal-writer/draft-intake.ts',
    text: '    if (from.ordered) from.refusing = true\n',
    replacement: '',
    foundBy: [
      by(
        writer,
        'a draft under an assignment that is over takes all later drafts along when they build on each other, until the process has dropped them',
      ),
    ],
  },
  {
    name: 'a flush that failed is tried again with the next batch',
    attacks: 'A3, EIO',
    file: 'src/journal-writer/flush-schedule.ts',
    text: '        this.stop()\n        this.#o.failed(error)\n',
    replacement: '        this.#o.failed(error)\n',
    foundBy: [
      by(
        'test/unit/journal-writer/flush-schedule.test.ts',
        'a flush that failed is never tried again, and nothing is said to be flushed any more',
      ),
    ],
  },
]

/** What bounds memory, and what is said when a bound is reached. */
const bounds: readonly Mutant[] = [
  {
    name: 'frames are written although the credit is used up',
    attacks: 'G10',
    file: 'src/ipc/link.ts',
    text: 'const leftBytes = this.#allowance.leftBytes // I2',
    replacement: 'const leftBytes = this.#allowance.windowBytes // I2',
    foundBy: [by(link, 'sending writes nothing more once the credit is used up, and goes on when some returns')],
  },
  {
    name: 'a peer may send beyond the window',
    attacks: 'G10',
    file: 'src/ipc/link.ts',
    text: 'if (!this.#window.admit(body.length)) {',
    replacement: 'if (!this.#window.admit(body.length) && this.#isClosed()) {',
    foundBy: [by(link, 'receiving ends the connection when the peer sends beyond the window')],
  },
  {
    name: 'the length of a frame has no bound',
    attacks: 'G10',
    file: 'src/ipc/deframer.ts',
    text: 'length < lengthBytesMin || length > this.frameBytesMax || kindAndFlags',
    replacement: 'length < lengthBytesMin || kindAndFlags',
    foundBy: [by(deframer, 'the deframer accepts a frame of exactly the limit and refuses one byte more')],
  },
  {
    name: 'the length of a frame whose header comes in pieces has no bound',
    attacks: 'G10',
    file: 'src/ipc/deframer.ts',
    text: 'length >= lengthBytesMin && length <= this.frameBytesMax && ',
    replacement: 'length >= lengthBytesMin && ',
    foundBy: [
      by(
        deframer,
        'the deframer refuses a frame beyond the limit by its header alone, whole or in pieces, and makes no room for it',
      ),
    ],
  },
  {
    name: 'a follower that takes nothing is sent everything',
    attacks: 'G10',
    file: 'src/journal-writer/subscriber.ts',
    text: '    if (!this.channel.writable) {\n      this.live = false\n      return\n    }\n',
    replacement: '',
    foundBy: [
      by(writer, 'a follower that takes nothing holds no more in the writer than its window, however much is written'),
    ],
  },
  {
    name: 'drafts on their way do not count as pending',
    attacks: 'G10',
    file: 'src/gateway/admission.ts',
    text: 'if (commands.byLsn.size + drafted >= pendingCommands) {',
    replacement: 'if (commands.byLsn.size >= pendingCommands) {',
    foundBy: [by('test/unit/gateway/admission.test.ts', 'room is bounded for the whole database, drafts included')],
  },
  {
    name: 'the first byte of a token is enough',
    attacks: 'access',
    file: 'src/gateway/http-access.ts',
    text: 'timingSafeEqual(token.digest, digest)',
    replacement: 'timingSafeEqual(token.digest.subarray(0, 1), digest.subarray(0, 1))',
    foundBy: [
      by(
        'test/unit/gateway/http-access.test.ts',
        'with tokens a token is let in for all bytes of its digest, and not for the first of them',
      ),
    ],
  },
  {
    name: 'a token of any scope is enough',
    attacks: 'access',
    file: 'src/gateway/http-access.ts',
    text: "token.scopes.has('admin') || scopes.some((scope) => token.scopes.has(scope))",
    replacement: 'token.scopes.size > 0',
    foundBy: [
      by(
        'test/unit/gateway/http-access.test.ts',
        'with tokens any one of the scopes is enough, and admin has them all',
      ),
    ],
  },
  {
    name: 'bodies over HTTP have no bound',
    attacks: 'G10',
    file: 'src/gateway/http-body-budget.ts',
    text: '    if (this.#bytes + bytes > this.#bytesMax) return null\n',
    replacement: '',
    foundBy: [
      by(
        'test/unit/gateway/http-waiting.test.ts',
        'the budget for bodies gives out what there is, and takes each share back once',
      ),
    ],
  },
  {
    name: 'a database that is over its limit does not answer 429',
    attacks: 'G10',
    file: 'src/gateway/http-problem.ts',
    text: 'overloaded: 429',
    replacement: 'overloaded: 503',
    foundBy: [
      by(
        'test/contract/http-commands.test.ts',
        'a database that is busy or not there answers 202 with the id when the wait is over, and 429 with Retry-After when too much is pending',
      ),
    ],
  },
]

export const roleMutants: readonly Mutant[] = [...roles, ...bounds]
