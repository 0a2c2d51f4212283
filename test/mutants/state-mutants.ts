import { by, type Mutant } from './mutant.ts'

const keys = 'test/unit/state/idempotency.test.ts'
const guard = 'test/unit/state/token-guard.test.ts'
const migrations = 'test/unit/state/migrations.test.ts'
const dispatcher = 'test/unit/dispatcher/dispatcher.test.ts'
const retries = 'test/unit/dispatcher/retries.test.ts'
const applier = 'test/unit/projection-applier/projection-applier.test.ts'
const ends = 'test/unit/projection-applier/stream-ends.test.ts'
const restorer = 'test/unit/tables/restore-aggregate.test.ts'

/** Who may end a command. */
const tokens: readonly Mutant[] = [
  {
    name: 'any token is good enough for a command that is started',
    attacks: 'G5',
    file: 'src/state/token-guard.ts',
    text: 'this.#assignments.get(referenceOf(b, o))?.token === tokenOf(b, o)',
    replacement: 'this.#assignments.has(referenceOf(b, o))',
    foundBy: [
      by(guard, 'a draft that says completed is admitted under the present assignment and refused under any other'),
    ],
  },
  {
    name: 'the guard is not taken back after a write that failed',
    attacks: 'G3, full disk',
    file: 'src/journal-writer/journal-writer.ts',
    text: '      guard.rollback()\n',
    replacement: '',
    foundBy: [
      by(
        'test/unit/journal-writer/journal-writer.test.ts',
        'a full disk refuses the drafts and keeps everything else going, and takes drafts again when there is room',
      ),
    ],
  },
  {
    name: 'the guard is taken back in the wrong order',
    attacks: 'G3, full disk',
    file: 'src/state/token-guard.ts',
    text: 'this.#undo.reverse()',
    replacement: 'this.#undo',
    foundBy: [by(guard, 'the guard takes a batch back as a whole when it could not be written')],
  },
  {
    name: 'what was assigned to an instance that has gone may still be ended by it',
    attacks: 'G5',
    file: 'src/state/token-guard.ts',
    text: "this.#membership(nameOf(b, o), code === actionCodes['application/registered'])",
    replacement: 'this.#undo.length = 0',
    foundBy: [by(guard, 'a draft that says completed is refused once its instance is application/deregistered')],
  },
  {
    name: 'what a deregistered instance had is not released',
    attacks: 'G8',
    file: 'src/state/root.ts',
    text: '  releaseInstance(commands, instance, crashed, isSure)\n',
    replacement: '',
    foundBy: [by(dispatcher, 'who gets what starts again elsewhere what a deregistered instance had, in order')],
  },
  {
    name: 'who was not alone when its process crashed is found guilty',
    attacks: 'G3',
    file: 'src/state/root.ts',
    text: 'startedOn(commands, instance) + activeOn(activations, instance) === 1',
    replacement: 'startedOn(commands, instance) + activeOn(activations, instance) >= 1',
    foundBy: [
      by(
        'test/unit/state/activations.test.ts',
        'a workflow whose process crashed by itself is not found guilty while anything else was at work beside it',
      ),
    ],
  },
  {
    name: 'commands are started beside a workflow that has to be alone',
    attacks: 'G3',
    file: 'src/dispatcher/command-desk.ts',
    text: '    load.isHeld = true\n',
    replacement: '',
    foundBy: [
      by(
        'test/unit/dispatcher/probation.test.ts',
        'a workflow whose process crashed again, beside a command, goes on alone once that has been tried',
      ),
    ],
  },
  {
    name: 'a command is started on an instance that was gone by then',
    attacks: 'G8',
    file: 'src/state/root.ts',
    text: '  if (instance !== dispatcherName && !state.applications.byInstance.has(instance)) return\n',
    replacement: '',
    foundBy: [by(dispatcher, 'who gets what starts again what was started on an instance that was gone by then')],
  },
  {
    name: 'a command overtakes an earlier one of its aggregate',
    attacks: 'G2',
    file: 'src/dispatcher/command-desk.ts',
    text: '    if (before !== null && before.token === 0 && !this.#scheduled.has(before.lsn)) return // I1\n',
    replacement: '',
    foundBy: [
      by(dispatcher, 'a failed command keeps later commands of its aggregate waiting behind it, and no others'),
    ],
  },
  {
    name: 'a workflow goes on elsewhere than the commands on it',
    attacks: 'G3, one owner',
    file: 'src/dispatcher/resumption.ts',
    text: 'this.#commands.placeOf(key) ?? ownerOf',
    replacement: 'ownerOf',
    foundBy: [
      by(
        'test/unit/dispatcher/resumption.test.ts',
        'goes on where commands on the workflow are under way, whoever its partition belongs to by now',
      ),
    ],
  },
  {
    name: 'a command is started elsewhere than the workflow that is about to go on',
    attacks: 'G3, one owner',
    file: 'src/dispatcher/placement.ts',
    text: '[activations.byKey.get(key)?.instance, resuming(key)]',
    replacement: '[activations.byKey.get(key)?.instance]',
    foundBy: [
      by('test/unit/dispatcher/placement.test.ts', 'starts a command where the workflow runs or is about to go on'),
    ],
  },
  {
    name: 'a command that crashes its process is parked one crash late',
    attacks: 'G10',
    file: 'src/dispatcher/command-desk.ts',
    text: 'command.crashes >= limits.crashesMax',
    replacement: 'command.crashes > limits.crashesMax',
    foundBy: [
      by(dispatcher, 'a process that crashed has its command parked after the bound of crashes and not before'),
    ],
  },
  {
    name: 'a clock that goes back holds a failed command up',
    attacks: 'clock jump',
    file: 'src/dispatcher/retries.ts',
    text: 'Math.min(retryAtMs - clock.wallMs(), retryDelayMs)',
    replacement: 'retryAtMs - clock.wallMs()',
    foundBy: [
      by(retries, 'a failure of before this process waits by the wall clock, and no longer than its failure says'),
    ],
  },
]

/** Whether a call was there before. */
const calls: readonly Mutant[] = [
  {
    name: 'a key counts in the very millisecond in which it expires',
    attacks: 'G6',
    file: 'src/state/idempotency.ts',
    text: 'record.expiresAtMs <= slice.expiredUntilMs',
    replacement: 'record.expiresAtMs < slice.expiredUntilMs',
    foundBy: [by(keys, 'an idempotency key counts until an entry says that its time is over')],
  },
  {
    name: 'a key that expires at that very millisecond is never deleted',
    attacks: 'G6, G10',
    file: 'src/tables/idempotency-keys.ts',
    text: 'encodeKey(untilMs + 1)',
    replacement: 'encodeKey(untilMs)',
    foundBy: [
      by(applier, 'idempotency keys are in the store with the command that saved them, and deleted when that is said'),
    ],
  },
  {
    name: 'a key that was used again is deleted with its first use',
    attacks: 'G6',
    file: 'src/tables/idempotency-keys.ts',
    text: 'if (recordAt(value, 0).expiresAtMs <= untilMs) batch.delete',
    replacement: 'if (recordAt(value, 0).expiresAtMs > 0) batch.delete',
    foundBy: [
      by(
        applier,
        'idempotency keys that were used again stay also where the store has both uses when the first is deleted',
      ),
    ],
  },
  {
    name: 'a key of a clock that went back lives again',
    attacks: 'G6, clock jump',
    file: 'src/state/idempotency.ts',
    text: '  if (untilMs <= slice.expiredUntilMs) return\n',
    replacement: '',
    foundBy: [by(keys, 'an idempotency key does not come back to life with a clock that goes back')],
  },
  {
    name: 'a key is found by the entry that saves it',
    attacks: 'G6, G7',
    file: 'src/state/idempotency.ts',
    text: 'record.lsn >= at',
    replacement: 'record.lsn > at',
    foundBy: [
      by(
        keys,
        'an idempotency key is found by entries after the one that saved it, and not by that one or those before',
      ),
    ],
  },
  {
    name: 'other data under a key is no conflict',
    attacks: 'G6',
    file: 'src/state/idempotency.ts',
    text: 'Buffer.compare(key.digest, record.digest) !== 0',
    replacement: 'key.digest.length !== record.digest.length',
    foundBy: [
      by(
        'test/unit/gateway/gateway.test.ts',
        'an idempotency key with other data is a conflict, at once or from the journal, told once its first use is flushed',
      ),
    ],
  },
  {
    name: 'a call that was answered long ago is decided again',
    attacks: 'G6',
    file: 'src/state/idempotency.ts',
    text: '  if (sequence < session.answeredBelow) return answeredLongAgo\n',
    replacement: '',
    foundBy: [by(keys, 'a session call is forgotten once its client has its answer, and cannot be made again')],
  },
  {
    name: 'a call that comes again is a new one',
    attacks: 'G6',
    file: 'src/state/idempotency.ts',
    text: '  if (known !== undefined) return known\n',
    replacement: '',
    foundBy: [by(keys, 'a session call is new once, and its repetitions are told the command that it became')],
  },
  {
    name: 'a call with other data gets the outcome of the first use of its key',
    attacks: 'G6',
    file: 'src/state/root.ts',
    text: 'const became = conflicts ? null : repeats === isNew ? at : repeats',
    replacement: 'const became = repeats === isNew || (conflicts && at === isNew) ? at : repeats',
    foundBy: [
      by(keys, 'a command with a key is not known by its session call as a command of other data that had its key'),
    ],
  },
]

/** Streams that end, and streams that change their form. */
const streams: readonly Mutant[] = [
  {
    name: 'a stream is deleted while a command from before its close is pending',
    attacks: 'G2, G9',
    file: 'src/state/root.ts',
    text: 'pendingBefore(commands, keyOf(b, o), referenceOf(b, o)) > 0',
    replacement: 'pendingBefore(commands, keyOf(b, o), referenceOf(b, o)) > 1',
    foundBy: [
      by(
        ends,
        'a deleted stream stays as it is while a command from before the close is pending, and goes when it has ended',
      ),
    ],
  },
  {
    name: 'events are archived twice',
    attacks: 'G4, archive',
    file: 'src/projection-applier/table-writer.ts',
    text: 'from === archivedUpTo(life) + 1 && ',
    replacement: '',
    foundBy: [
      by(
        ends,
        'an archived stream has each event in one range: one that begins before or behind the last one’s end is void',
      ),
    ],
  },
  {
    name: 'events leave the store although the archive keeps other bytes',
    attacks: 'archive',
    file: 'src/gateway/stream-archiver.ts',
    text: '    if (stored !== object.digest) throw notKept(this.#vault, object.name)\n',
    replacement: "    if (stored === '') throw notKept(this.#vault, object.name)\n",
    foundBy: [
      by(
        'test/contract/stream-archive.test.ts',
        'a client over HTTP is told that the archive keeps other bytes than it was given, and then nothing is archived',
      ),
    ],
  },
  {
    name: 'a migration switches while events of the old form remain',
    attacks: 'G7, migration',
    file: 'src/state/migration-switch.ts',
    text: 'events !== null || commands.length > 0',
    replacement: '(events !== null && events.copied > events.newestOld) || commands.length > 0',
    foundBy: [
      by(
        migrations,
        'a switch is void while one event of an older version is not rewritten, although nothing else stands in its way',
      ),
    ],
  },
  {
    name: 'a migration switches one event early',
    attacks: 'G7, migration',
    file: 'src/state/migration-switch.ts',
    text: 'copied < newestOld ?',
    replacement: 'copied < newestOld - 1 ?',
    foundBy: [
      by(
        migrations,
        'a switch is void while one event of an older version is not rewritten, although nothing else stands in its way',
      ),
    ],
  },
  {
    name: 'a migration switches while a command of the old form is pending',
    attacks: 'G7, migration',
    file: 'src/state/migration-switch.ts',
    text: ' || commands.length > 0',
    replacement: '',
    foundBy: [
      by(
        migrations,
        'a switch is void while a pending command, or one parked since it began, is not rewritten; then both are',
      ),
    ],
  },
  {
    name: 'a migration switches while an instance runs the old code',
    attacks: 'G7, migration',
    file: 'src/state/migration-switch.ts',
    text: ' || instances.length > 0',
    replacement: '',
    foundBy: [
      by(
        migrations,
        'a switch is void while an event of an older version is not rewritten, and while a host runs older code',
      ),
    ],
  },
  {
    name: 'a snapshot of other code is gone on from',
    attacks: 'G7',
    file: 'src/tables/restore-aggregate.ts',
    text: 'snapshot.definition === fingerprint && ',
    replacement: '',
    foundBy: [by(restorer, 'an aggregate from the store begins at the first event when the snapshot is of other code')],
  },
  {
    name: 'a snapshot of before a migration is gone on from',
    attacks: 'G7, migration',
    file: 'src/tables/restore-aggregate.ts',
    text: 'isKnown && (snapshot.lsn ?? 0) >= this.#log.snapshotsSince(definition.name)',
    replacement: 'isKnown',
    foundBy: [
      by(
        restorer,
        'an aggregate from the store begins at the first event when a migration has switched since the snapshot, and at one of after the switch',
      ),
    ],
  },
]

const workflows: readonly Mutant[] = [
  {
    name: 'a cancellation leaves what a failure has left behind to go on while it is undone',
    attacks: 'the state and the code of a workflow wait for the same',
    file: 'src/workflows/execution.ts',
    text: '.filter(({ operation }) => !isCompensation(operation.id))',
    replacement: '.filter(({ operation }) => !isCompensation(operation.id) && !this.#isCompensating)',
    foundBy: [
      by(
        'test/unit/workflows/cancellation.test.ts',
        'a cancellation of one that is undone already ends what the failure has left behind, its child as well, and nothing of what undoes',
      ),
    ],
  },
]

export const stateMutants: readonly Mutant[] = [...tokens, ...calls, ...streams, ...workflows]
